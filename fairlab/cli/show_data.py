"""What `fairlab data list` shows."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pandas as pd

from fairlab.api import Lab
from fairlab.cli.show import say, show_table
from fairlab.tables import json_values
from fairlab.workspace import Workspace


def show_all(workspace: Workspace, as_json: bool) -> None:
    """Print the data sets of the workspace; those that cannot be used are named on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = Lab(workspace).data.table()
    for warning in caught:
        say(str(warning.message))
    show_table(table, as_json, f"no data sets yet in {workspace.home}; `fairlab demo` makes one")


def show_data(workspace: Workspace, name: str, as_json: bool) -> None:
    """Print the counts of a data set."""
    data = Lab(workspace).data[name]
    counts, pairs = data.counts(), data.pair_counts()
    if not as_json:
        print(f"{name} · fingerprint {data.fingerprint[:16]} · {data.opened.image_px} px")
        print(f"\n{counts.to_string(index=False)}\n\n{pairs.to_string(index=False)}")
        if data.shares:
            print()
            show_shares(workspace, name, False)
        for text in data.notes:
            print(f"\nnote: {text}")
        return
    facts = {
        "dataset": name,
        "fingerprint": data.fingerprint,
        "without_landmarks": data.opened.info.get("without_landmarks", {}),
        "failures_to_enrol": data.opened.info.get("failures_to_enrol", {}),
        "notes": data.notes,
        "images": counts.to_dict("records"),
        "pairs": pairs.to_dict("records"),
        **({"shares": _shares(workspace, name)} if data.shares else {}),
    }
    print(json.dumps(facts, indent=1, default=int))


def show_shares(workspace: Workspace, name: str, as_json: bool) -> None:
    """Print masses and entropy of a data set's soft group shares, and what a balance by mass changed."""
    shares = Lab(workspace).data[name].shares
    if as_json:
        print(json.dumps(_shares(workspace, name), indent=1))
        return
    print(f"soft group shares · fingerprint {shares.fingerprint[:16]}")
    print(f"\n{shares.masses().to_string(index=False)}\n\n{shares.balance().to_string(index=False)}")
    if sentence := shares.sentence():
        print(f"\n{sentence}\n\n{shares.change().to_string(index=False)}")


def show_traits(workspace: Workspace, name: str, as_json: bool) -> None:
    """Print every trait of a data set in every group, then what larger values mean."""
    handle = Lab(workspace).data[name].traits
    table = handle.summary()
    if as_json:
        print(
            json.dumps({"fingerprint": handle.fingerprint, "traits": json_values(table.to_dict("records"))}, indent=1)
        )
        return
    if table.empty:
        print(
            f"no traits of {name} yet; `fairlab data traits {name} --measure` measures some, --table FILE imports others"
        )
        return
    shown = table.drop(columns=["meaning", *(["values"] if (table["values"] == "").all() else [])])
    numbers = ["low", "median", "high"]
    shown[numbers] = shown[numbers].map(lambda value: "" if pd.isna(value) else f"{value:.4g}")
    print(shown.to_string(index=False))
    print("\na larger value means:")
    for row in table.drop_duplicates("trait").itertuples():
        if row.meaning:
            print(f"  {row.trait}: {row.meaning}")


def _shares(workspace: Workspace, name: str) -> dict[str, Any]:
    shares = Lab(workspace).data[name].shares
    return {
        "fingerprint": shares.fingerprint,
        "masses": json_values(shares.masses().to_dict("records")),
        "balance": json_values(shares.balance().to_dict("records")),
        "change": json_values(shares.change().to_dict("records")),
        "sentence": shares.sentence(),
    }
