"""What the command line shows of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console

SIZES = ("trained_parameters", "frozen_parameters", "flops")
"""Facts whose thousands are set apart."""


def show_model(about: Mapping[str, Any], as_json: bool) -> None:
    """Print a model's row of the table of models, a line for each fact that is known."""
    if as_json:
        print(json.dumps(about, indent=1))
        return
    for name, value in about.items():
        if value is not None and value != "":
            shown = f"{value:,}" if isinstance(value, int) and name in SIZES else value
            console.print(f"{name.replace('_', ' ')}: {shown}", markup=False)


def show_model_report(found: Mapping[str, Any], as_json: bool) -> None:
    """Print what was understood of a model file (jobs.models.importing)."""
    if as_json:
        print(json.dumps(found, indent=1))
        return
    if found["kind"] in ("scores", "embeddings"):
        _show_table_report(found)
        return
    if found["kind"] == "adaptor":
        _show_adaptor(found)
        return
    about, trial = found["preprocessing"], found["trial"]
    console.print(f"{found['path']}: {found['family']}", markup=False)
    dim = found["embedding_dim"] or "any number of"
    head = f", with a classifier of {found['classes']:,} identities" if found["classes"] else ""
    size = f"; {found['parameters'] / 1e6:.2f} M parameters" if found["parameters"] else ""
    console.print(f"faces of {found['image_px']} px to embeddings of {dim} numbers{size}{head}")
    console.print(
        f"takes {about['channels']}, (pixel - {about['mean']}) / {about['std']}; flip: {about['flip']}", markup=False
    )
    view = Table(box=None, pad_edge=False)
    for name in ("pixels read", "accuracy on generated faces", "against the record"):
        view.add_column(name)
    for row in trial["readings"]:
        view.add_row(
            row["what"],
            f"{100 * row['accuracy']:.1f} [{100 * row['accuracy_low']:.1f}, {100 * row['accuracy_high']:.1f}]",
            f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
            if "difference" in row
            else "",
        )
    console.print(view)
    console.print(
        f"{trial['pairs']} pairs, all at one threshold; cosine of face and mirror image {trial['flip_cosine']:.3f}, of two people "
        f"{trial['other_cosine']:.3f}; raw lengths {', '.join(f'{norm:.3g}' for norm in trial['norms'])}"
    )
    for text in [*filter(None, [trial["note"]]), *found["notes"]]:
        console.print(f"note: {text}", markup=False)
    for text in found["warnings"]:
        console.print(Text(f"warning: {text}", style="yellow"))
    if "run_id" in found:
        console.print(f"added as {found['run_id']}; evaluate it with `fairlab evaluate {found['run_id']} DATASET`")


def _show_adaptor(found: Mapping[str, Any]) -> None:
    """What an adaptor's file is (jobs.models.adaptors)."""
    trial = found["trial"]
    console.print(f"{found['path']}: {found['family']}", markup=False)
    console.print(
        f"{found['columns']} columns to embeddings of {found['embedding_dim']} numbers; "
        f"{found['parameters'] / 1e6:.2f} M parameters"
    )
    for number, parent in enumerate(found["parents"], 1):
        console.print(f"block {number}: {parent}", markup=False)
    console.print(
        f"{trial['vectors']} random unit embeddings: mean cosine of two outputs {trial['cosine']:.3f}, lengths "
        f"{', '.join(f'{norm:.3g}' for norm in trial['norms'])}"
    )
    for text in found["notes"]:
        console.print(f"note: {text}", markup=False)
    if "run_id" in found:
        console.print(f"added as {found['run_id']}; evaluate it with `fairlab evaluate {found['run_id']} DATASET`")


def _show_table_report(found: Mapping[str, Any]) -> None:
    """What a table of scores or a file of embeddings holds (jobs.models.tables)."""
    if found["kind"] == "scores":
        said = (
            f"scores of {', '.join(found['models'])} on {found['genuine']:,} genuine and {found['impostor']:,} impostor "
            f"pairs of {found['identities']:,} identities; {found['attribute']}: {', '.join(found['groups'])}"
        )
    else:
        said = f"embeddings of {found['images']:,} images, {found['embedding_dim']} numbers each"
    console.print(f"{found['path']}: {said}", markup=False)
    for text in found["notes"]:
        console.print(f"note: {text}", markup=False)
    for run_id in found.get("runs", ()):
        console.print(f"added as {run_id}; see Verification and Fairness in the app, or `fairlab evaluate {run_id}`")
