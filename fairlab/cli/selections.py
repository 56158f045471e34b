"""`fairlab data selections list`: saved selections listed, shown, saved from a table, written for other tools, deleted."""

from __future__ import annotations

import argparse
import json
import shlex

from fairlab.api import Lab
from fairlab.api.selections import SavedSelection
from fairlab.cli import show
from fairlab.cli.grammar import Noun, Parser, data_argument, json_option, run_argument
from fairlab.compare.selection_files import FIFTYONE, FORMATS, column_name
from fairlab.store.projections import list_projections
from fairlab.tables import json_values
from fairlab.workspace import Workspace

TABLE = """columns of the table, the first of these that it has:
  image_id                       the data set's numbers of its images
  image, path, file ...          where an image lies, or its name
  identity, person, subject ...  all images of that person"""
USE = """use it: `fairlab fairness RUN --selection NAME --selected without`, and in recipes
`fairlab data make NEW --set dataset=DATA --set selection=NAME --set selected=without`"""
FILES = f"""csv: a row per image. parquet: the same with vector_RUN, x_RUN and y_RUN of each --space, for
`embedding-atlas FILE --vector vector_RUN` or `--x x_RUN --y y_RUN`. fiftyone: a folder with PNG files and
labels.json, read by {FIFTYONE}.
Vectors of faces identify people: keep such files as you keep the images."""


def selections_commands(parser: Parser) -> None:
    noun = Noun(parser)
    listed = noun.add("list", "saved selections of a data set, or of all", list_all, epilog=USE)
    data_argument(listed, "name", "data set (default: all, also those that are gone)", nargs="?", default="")
    json_option(listed)
    one = noun.add("show", "a selection's images, people and groups", show_one)
    _which(one)
    json_option(one)
    new = noun.add("save", "save images of a data set under a name, from a table", save, epilog=TABLE)
    _which(new)
    new.add_argument("table", help="CSV or parquet file that names images or people")
    new.add_argument("--note", default="", help="words beside it, up to 2,000 letters")
    json_option(new)
    out = noun.add("export", "write a selection as a file of other tools", export, epilog=FILES)
    _which(out)
    out.add_argument("--out", required=True, metavar="PATH", help="file to write; fiftyone: folder to make")
    out.add_argument("--format", choices=list(FORMATS), default="csv", help="default: csv")
    out.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    run_argument(out, "--space", "model whose vectors and newest map go into parquet; may be several", nargs="+")
    gone = noun.add("delete", "delete a selection; its images stay in the data set", delete)
    _which(gone)


def _which(parser: Parser) -> None:
    data_argument(parser)
    parser.add_argument("selection", help="name of the selection")


def list_all(workspace: Workspace, options: argparse.Namespace) -> None:
    selections = Lab(workspace).data.selections
    table = selections[options.name].table() if options.name else selections.table()
    of = f" of {options.name}" if options.name else f" in {workspace.home}"
    show.show_table(table, options.json, f"no saved selections{of}; `fairlab data selections save` makes one")


def _handle(workspace: Workspace, options: argparse.Namespace) -> SavedSelection:
    return Lab(workspace).data.selections[options.name][options.selection]


def show_one(workspace: Workspace, options: argparse.Namespace) -> None:
    """Print how many images and people of each group a selection has."""
    handle = _handle(workspace, options)
    table = Lab(workspace).data.selections[options.name].table()
    facts = json_values(table[table["selection"] == options.selection].to_dict("records")[0])
    groups = []
    if not facts["state"]:
        parts = handle.images.groupby(["split", "group"], sort=False, observed=True)
        counts = parts.agg(images=("image_id", "size"), identities=("identity", "nunique")).reset_index()
        groups = json_values(counts.to_dict("records"))
    if options.json:
        print(json.dumps({**facts, "groups": groups, "ids": handle.ids.tolist()}, indent=1))
        return
    print(f"{handle.name} of {handle.dataset} · {len(handle):,} images of {facts['identities']:,} people")
    if facts["note"]:
        print(facts["note"])
    if facts["state"]:
        print(f"cannot be used: {facts['state']}")
    else:
        print(f"\n{counts.to_string(index=False)}")


def save(workspace: Workspace, options: argparse.Namespace) -> None:
    """Save the images that a table names."""
    Lab(workspace).data[options.name].selections.save_table(options.selection, options.table, options.note)
    show_one(workspace, options)


def export(workspace: Workspace, options: argparse.Namespace) -> None:
    """Write a selection for other tools, and say how they read it."""
    kind, spaces = options.format, options.space or []
    written = _handle(workspace, options).export(options.out, kind, spaces, options.overwrite, show.progress_line())
    print(f"written: {written}")
    if kind == "fiftyone":
        print(f"fiftyone app view --dataset-dir {shlex.quote(str(written))} --type {FIFTYONE}")
    for model in (Lab(workspace).models[run_id] for run_id in spaces):
        name = column_name(model.run_id)
        drawn = any(item.whole for item in list_projections(model.folder, options.name))
        print(
            f"embedding-atlas {shlex.quote(str(written))} "
            + (f"--x x_{name} --y y_{name}" if drawn else f"--vector vector_{name}")
        )


def delete(workspace: Workspace, options: argparse.Namespace) -> None:
    _handle(workspace, options).delete()
    print(f"deleted: selection {options.selection} of {options.name}; its images stay")
