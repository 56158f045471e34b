"""What `fairlab data` shows."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fairlab import tables
from fairlab.cli.show import say
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, there
from fairlab.storage.hidden import bad_datasets
from fairlab.tables import TEXT, WHOLE
from fairlab.workspace import Workspace


def show_data(workspace: Workspace, name: str | None, as_json: bool) -> None:
    """Print the data sets of the workspace, or the counts of one."""
    from fairlab.data.dataset import open_dataset
    from fairlab.jobs.evaluate.caveats import of_data

    if name is None:
        rows = list(_rows(workspace))
        print(
            json.dumps(rows, indent=1)
            if as_json
            else DATASETS.build(rows).to_string(index=False)
            if rows
            else f"no data sets yet in {workspace.home}; `fairlab demo` makes one"
        )
        return
    folders = sorted(path.parent.name for path in workspace.datasets_folder.glob("*/dataset.json"))
    if name not in folders and not there(workspace.dataset(name) / MANIFEST):
        raise FairLabError(f"there is no data set {name!r}; there are: {', '.join(folders) or 'none yet'}")
    found = open_dataset(workspace.dataset(name))
    counts = (
        found.images.groupby(["split", "group"], sort=False)
        .agg(images=("image_id", "size"), identities=("identity", "nunique"))
        .reset_index()
    )
    pairs = (
        found.pairs.groupby(["protocol", "group"], sort=False)
        .agg(genuine=("genuine", "sum"), pairs=("genuine", "size"))
        .reset_index()
    )
    if as_json:
        print(
            json.dumps(
                {
                    "dataset": name,
                    "fingerprint": found.fingerprint,
                    "without_landmarks": found.info.get("without_landmarks", {}),
                    "failures_to_enrol": found.info.get("failures_to_enrol", {}),
                    "notes": of_data(found),
                    "images": counts.to_dict("records"),
                    "pairs": pairs.to_dict("records"),
                },
                indent=1,
                default=int,
            )
        )
    else:
        print(
            f"{name} · fingerprint {found.fingerprint[:16]} · {found.image_px} px\n\n{counts.to_string(index=False)}\n\n{pairs.to_string(index=False)}"
        )
        for text in of_data(found):
            print(f"\nnote: {text}")


DATASETS = tables.Table(dataset=TEXT, images=WHOLE, identities=WHOLE, groups=WHOLE, pairs=WHOLE, px=WHOLE)


def _rows(workspace: Workspace) -> Iterator[dict[str, object]]:
    """A row for each data set that can be read; the others are named by every command (storage.hidden)."""
    from fairlab.data.dataset import open_dataset

    known = dict(bad_datasets(workspace))
    for path in sorted(workspace.datasets_folder.glob("*/dataset.json")):
        if path.parent.name in known:
            continue
        try:
            data = open_dataset(path.parent)
            yield {
                "dataset": data.dataset_id,
                "images": len(data.images),
                "identities": int(data.images["identity"].nunique()),
                "groups": len(data.groups),
                "pairs": len(data.pairs),
                "px": data.image_px,
            }
        except FairLabError as error:  # what a glance does not tell: the content of a table
            say(f"data set {path.parent.name} cannot be used: {error}")
