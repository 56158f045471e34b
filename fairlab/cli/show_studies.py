"""What the command line shows of a folder of checkpoints that becomes a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console


def show_folder(report: Mapping[str, Any], as_json: bool) -> None:
    """Print what was recognised in a folder (jobs.models.study_folders): a row for each model, and which step it is."""
    if as_json:
        print(json.dumps(report, indent=1))
        return
    console.print(f"{report['path']}: {len(report['models'])} models", markup=False)
    view = Table(box=None, pad_edge=False)
    for heading in ("model", "step", "why this step", "folder"):
        view.add_column(heading, justify="right" if heading == "step" else "left", overflow="fold")
    for row in report["models"]:
        view.add_row(*(Text(str(row[name])) for name in ("title", "step", "why", "folder")))
    console.print(view)
    for text in [*report["notes"], *dict.fromkeys(note for row in report["models"] for note in row["notes"])]:
        console.print(f"note: {text}", markup=False)
