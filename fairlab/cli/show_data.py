"""What `fairlab data list` shows."""

from __future__ import annotations

import json
import warnings

from fairlab.api import Lab
from fairlab.cli.show import say, show_table
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
    }
    print(json.dumps(facts, indent=1, default=int))
