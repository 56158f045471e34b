"""`fairlab repair`: a model's scores repaired without training, and a repair used as it was fitted."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from rich.table import Table

from fairlab.api import Lab
from fairlab.api.console import console
from fairlab.api.repaired import Repaired
from fairlab.cli import show
from fairlab.cli.arguments import dials, where
from fairlab.cli.fairness import show_differences
from fairlab.cli.grammar import Parser, data_argument, json_option, placement_options, run_argument, set_option
from fairlab.compare.exports import as_csv
from fairlab.compare.repairs import ONLY_THRESHOLDS
from fairlab.errors import FairLabError
from fairlab.evaluation.paired import power_sentences
from fairlab.evaluation.repair.base import REPAIRS
from fairlab.files import not_there, write_bytes
from fairlab.tables import json_values, rows_as_json
from fairlab.workspace import Workspace

APPLY = "apply"


def repair_options(parser: Parser) -> None:
    parser.usage = (
        f"{parser.prog} MODEL --method NAME [--cohort DATA] [--data TEST]\n"
        f"       {parser.prog} apply REPAIR SCORES.csv --out FILE\n       {parser.prog} apply REPAIR --data TEST\n"
        f"       {parser.prog} --methods"
    )
    parser.epilog = "`fairlab settings show repair` lists the settings of every method"
    parser.set_defaults(do=repair)
    run_argument(
        parser, "model", "run id of a model; or the word apply, to use a finished repair as it was fitted", "?"
    )
    run_argument(parser, "repair", "after apply: run id of the repair", "?")
    parser.add_argument(
        "scores", nargs="?", default="", help="after apply: a table of scored pairs (CSV, TSV, Parquet)"
    )
    parser.add_argument("--methods", action="store_true", help="list the methods, with what each needs")
    parser.add_argument(
        "--method", metavar="NAME", action="append", default=[], help="e.g. M1.1 or faircal; may be given several times"
    )
    data_argument(
        parser, "--cohort", "people outside the test and training (default: the validation people)", default=""
    )
    data_argument(parser, "--data", "data set with pairs to test on (default: the one trained on)", default="")
    parser.add_argument(
        "--at-fmr", type=float, metavar="X", default=0.01, help="FMR of all groups to compare at (0.01)"
    )
    parser.add_argument("--out", default="", help="file to write the repaired table to (.csv)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    json_option(parser)
    placement_options(parser)
    set_option(parser, "change a setting, e.g. clusters=20 (`fairlab settings show repair`)")


COMMANDS = {"repair": repair_options}


def repair(workspace: Workspace, options: argparse.Namespace) -> int:
    lab = Lab(workspace)
    if options.methods:
        show_methods(lab, options.json)
        return 0
    if not options.model:
        raise FairLabError("name a model (`fairlab models list`), or list the methods with --methods")
    if options.model == APPLY:
        return apply(lab, options)
    if options.repair:
        raise FairLabError(f"{options.repair!r} is one word too many; see `fairlab repair --help`")
    if not options.method:
        raise FairLabError("name a method, e.g. --method M1.1; `fairlab repair --methods` lists them")
    model, changes = lab.models[options.model], dials(options)
    place = where(options) or None
    jobs = [model.repair(name, options.data, options.cohort, where=place, **changes) for name in options.method]
    with show.results_only(options.json):
        if not show.watch(workspace, [job.run_id for job in jobs]):
            return 1
    if options.json:
        print(json.dumps([as_json(job, options) for job in jobs], indent=1, allow_nan=False))
        return 0
    for job in jobs:
        show_repair(job, options)
    return 0


def apply(lab: Lab, options: argparse.Namespace) -> int:
    """Use a finished repair on a table of scores, or on another data set."""
    if not options.repair:
        raise FairLabError("name the repair to apply: `fairlab repair apply REPAIR SCORES.csv --out FILE`")
    job = lab.runs[options.repair]
    if not isinstance(job, Repaired):
        raise FairLabError(f"{options.repair} is not a repair; `fairlab repair MODEL --method M3` makes one")
    if bool(options.scores) == bool(options.data):
        raise FairLabError("give either a table of scored pairs or, with --data, a data set")
    if options.data:
        other = job.apply(options.data, where(options) or None)
        assert isinstance(other, Repaired)
        with show.results_only(options.json):
            if not show.watch(lab.workspace, [other.run_id]):
                return 1
        if options.json:
            print(json.dumps([as_json(other, options)], indent=1, allow_nan=False))
        else:
            show_repair(other, options)
        return 0
    if not options.out:
        raise FairLabError("name the file to write, e.g. --out repaired.csv")
    out = not_there(Path(options.out).expanduser(), options.overwrite)
    table = job.apply(Path(options.scores))
    assert isinstance(table, pd.DataFrame)
    write_bytes(out, as_csv(table).encode())
    print(f"{len(table):,} repaired pairs in {out}")
    return 0


def show_methods(lab: Lab, as_json_: bool) -> None:
    table = lab.models.repair_methods()
    if as_json_:
        print(rows_as_json(table))
        return
    shown = Table(box=None, pad_edge=False)
    for name in ("method", "title", "needs", "group label when used", "changes", "cohort a group", "source"):
        shown.add_column(name)
    for row in table.itertuples():
        size = f"{row.cohort_per_group:,}" if row.cohort_per_group else ""
        title = f"{row.title} (oracle)" if row.oracle else row.title
        shown.add_row(row.method, title, row.needs, row.group_label, row.changes, size, row.source)
    console.print(shown)


def show_repair(job: Repaired, options: argparse.Namespace) -> None:
    """What the repair was fitted on, and what it changed."""
    console.print(f"{job.title} ({job.run_id})", markup=False)
    for sentence in sentences(job):
        console.print(sentence, markup=False)
    try:
        report = job.difference(options.at_fmr, options.data)
    except FairLabError as error:
        console.print(f"note: {error}", markup=False)
        return
    console.print(f"after minus before, each with its threshold at FMR {options.at_fmr:g} of all groups:", markup=False)
    show_differences(report, power_sentences(report))


def sentences(job: Repaired) -> list[str]:
    """The cohort, the checks and the notes of a finished repair."""
    fit = job.fit
    people = ", ".join(f"{name} {count:,}" for name, count in fit["people"].items())
    said = [
        f"cohort: {fit['cohort']}; people: {people}; {fit['images']:,} images, {fit['genuine_pairs']:,} genuine and "
        f"{fit['impostor_pairs']:,} impostor pairs"
    ]
    for check in fit["checks"]:
        known = f"none of {check['people']:,} people is in {check['against']}"
        said.append(f"check: {check['against']}: {check['note']}" if check["note"] else f"check: {known}")
    said += [f"note: {note}" for note in fit["notes"]]
    if REPAIRS[fit["repair"]].facts.changes == "thresholds":
        said.append(f"note: this repair {ONLY_THRESHOLDS}")
    return said


def as_json(job: Repaired, options: argparse.Namespace) -> dict[str, object]:
    report = job.difference(options.at_fmr, options.data)
    return {
        "run_id": job.run_id,
        "title": job.title,
        "fit": job.fit,
        "at_fmr": options.at_fmr,
        "differences": json_values(report.to_dict("records")),
    }
