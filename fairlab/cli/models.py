"""`fairlab models list` and `evaluate`: models added, looked at, and used on data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fairlab.api import Lab
from fairlab.cli import show, show_models, show_moved, show_numbers
from fairlab.cli.arguments import dials, images, where
from fairlab.cli.grammar import (
    Noun,
    Parser,
    data_argument,
    json_option,
    placement_options,
    run_argument,
    set_option,
)
from fairlab.compare.exports import as_csv
from fairlab.errors import FairLabError
from fairlab.files import not_there, write_bytes
from fairlab.registry import declared_facts
from fairlab.settings.study import Evaluation, ModelFile, Moved, Projection, Protocols, parse
from fairlab.store.runs import read_run, read_status
from fairlab.workspace import Workspace


def models_commands(parser: Parser) -> None:
    noun = Noun(parser)
    json_option(noun.add("list", "all models, trained here or added", list_models))
    one = noun.add(
        "show", "one model: its network, parameters trained and frozen, arithmetic, where it was used", show_one
    )
    run_argument(one, help_="run id of a model; `fairlab models list` lists them")
    json_option(one)
    new = noun.add("add", "make a file a model: weights, ONNX, a table of scores, or embeddings", add)
    new.add_argument("path", help=".pth, .pth.tar, .pt, .ckpt, .bin, .safetensors, .onnx, .csv, .npy ...")
    new.add_argument("--name", default="", help="what to call it (default: the file's name)")
    new.add_argument(
        "--parents",
        metavar="MODEL",
        nargs="+",
        default=[],
        help="of an adaptor (MST-KD): run ids of its teachers in the order of its blocks: Asian, African, Caucasian, Indian "
        "(default: as their names and folders tell)",
    )
    new.add_argument("--dry-run", action="store_true", help="report what was understood, and add nothing")
    json_option(new)
    set_option(new, "change a setting, e.g. flip=false (`fairlab settings show models.add`)")
    embedding = noun.add("embed", "embed a data set with a model", embed)
    run_argument(embedding, help_="run id of a model; `fairlab models list` lists them")
    data_argument(embedding, "dataset", "name of a data set")
    placement_options(embedding)
    maps = noun.add("project", "draw the maps (UMAP) of one or more spaces", project)
    run_argument(maps, "runs", "run ids of models; the first common space is the reference", "+")
    maps.add_argument("--data", default="", help="data set that they have embedded (default: the one trained on)")
    maps.add_argument("--images", type=images, help="how many images to lay out, people whole, or all (default: 4000)")
    set_option(maps, "change a setting, e.g. neighbours=30 (`fairlab settings show models.project`)")
    change = noun.add("moved", "measure what moved between two models' spaces of the same images", moved)
    run_argument(change, "before", "run id of a model; `fairlab models list` lists them")
    run_argument(change, "after", "run id of another model that has embedded the same images")
    change.add_argument("--data", default="", help="data set that both have embedded (default: the one trained on)")
    change.add_argument("--k", type=int, default=None, help="nearest neighbours that are compared (default: 10)")
    json_option(change)
    set_option(change, "change a setting, e.g. splits='[\"test\"]' (`fairlab settings show models.moved`)")
    of_images = noun.add(
        "columns", "write a row per image of a space: norm, score to own centroid, nearest ...", columns
    )
    run_argument(of_images, help_="run id of a model; `fairlab models list` lists them")
    of_images.add_argument("names", nargs="*", help="columns (default: all that a space has), e.g. centroid norm")
    of_images.add_argument("--out", required=True, help="file to write (.csv)")
    of_images.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    of_images.add_argument("--data", default="", help="data set that it has embedded (default: the one trained on)")
    tables = noun.add("scores", "write models' scores as a table that other tools read", scores)
    run_argument(tables, "runs", "run ids of models that were evaluated on the same data set", "+")
    tables.add_argument("--out", required=True, help="file to write (.csv)")
    tables.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    tables.add_argument("--format", choices=["bob", "bfw"], default="bob", help="bob: one model; bfw: any number")
    tables.add_argument("--data", default="", help="data set (default: the one trained on)")
    tables.add_argument("--pairs", choices=["test", "validation"], default="test", help="which pair list")


def evaluate_options(parser: Parser) -> None:
    names = ", ".join(declared_facts("PROTOCOLS", "jobs/protocols"))
    parser.epilog = f"protocols: {names} (`fairlab settings show protocols` says what they are)"
    run_argument(parser, help_="run id of a model; `fairlab models list` lists them")
    data_argument(parser, "dataset", "data set with pairs (default: the one trained on)", "?", "")
    run_argument(parser, "--gallery", "model that embeds the first image of each pair")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        action="append",
        default=[],
        help="evaluate by this protocol instead of the data set's own pairs; may be given several times",
    )
    parser.add_argument("--all", action="store_true", help="print every stored number")
    json_option(parser, "print every stored number as JSON")
    placement_options(parser)
    set_option(parser, "change a setting, e.g. bootstrap=1000 (`fairlab settings show evaluate`)")
    parser.set_defaults(do=evaluate)


COMMANDS = {"models": models_commands, "evaluate": evaluate_options}


def list_models(workspace: Workspace, options: argparse.Namespace) -> None:
    empty = f"no models yet in {workspace.home}; train some with `fairlab demo`, or `fairlab models add FILE`"
    show.show_table(Lab(workspace).models.table(), options.json, empty)


def show_one(workspace: Workspace, options: argparse.Namespace) -> None:
    show_models.show_model(Lab(workspace).models[options.run].about, options.json)


def add(workspace: Workspace, options: argparse.Namespace) -> int:
    models = Lab(workspace).models
    given = {"parents": options.parents} if options.parents else {}
    source = parse(ModelFile, {**dials(options), **given, "path": options.path}, "--set")
    if not options.dry_run or source.parents:
        source = models.with_parents(source)
    if options.dry_run:
        show_models.show_model_report(models.preview(source, show.progress_line("rounds")), options.json)
        return 0
    added = models.add(source, options.name)
    runs = [model.run_id for model in added]
    with show.results_only(options.json):
        if not show.watch(workspace, [*(parent.run_id for parent in added[0].parents), *runs]):
            return 1
    show_models.show_model_report({"run_id": runs[0], "runs": runs, **added[0].report}, options.json)
    return 0


def embed(workspace: Workspace, options: argparse.Namespace) -> int:
    job = Lab(workspace).models[options.run].embed(options.dataset, where(options) or None)
    return 0 if show.watch(workspace, [job.run_id]) else 1


def evaluate(workspace: Workspace, options: argparse.Namespace) -> int:
    asked = dials(options)
    further = {name.removeprefix("protocols."): value for name, value in asked.items() if name.startswith("protocols.")}
    plain = {name: value for name, value in asked.items() if not name.startswith("protocols.")}
    if further and not options.protocol:
        raise FairLabError("settings of protocols belong to a protocol: give --protocol NAME too")
    job = (
        Lab(workspace)
        .models[options.run]
        .evaluate(
            options.dataset,
            settings=parse(Evaluation, plain, "--set") if plain else None,
            gallery=options.gallery or "",
            protocols=parse(Protocols, {**further, "names": options.protocol}, "--set") if options.protocol else (),
            where=where(options) or None,
        )
    )
    with show.results_only(options.json):
        if not show.watch(workspace, [job.run_id]):
            return 1
    _say_notes(workspace, job.run_id)
    judged = job.run_id if options.gallery else options.run  # against a gallery the numbers are the job's
    dataset = read_run(workspace, job.run_id).dataset
    how = "json" if options.json else "all" if options.all else ""
    show_numbers.show_numbers(workspace, judged, dataset, options.protocol, how)
    return 0


def project(workspace: Workspace, options: argparse.Namespace) -> int:
    settings = parse(Projection, dials(options), "--set")
    job = Lab(workspace).models.project(options.runs, options.data, settings, images=options.images)
    if not show.watch(workspace, [job.run_id]):
        return 1
    _say_notes(workspace, job.run_id)
    for run_id in options.runs:
        about = Lab(workspace).models[run_id].map_facts(job.dataset)
        print(". ".join([f"{run_id}: {about['shown']:,} of {about['of']:,} images", *about["made"]]))
    return 0


def moved(workspace: Workspace, options: argparse.Namespace) -> int:
    given = {} if options.k is None else {"neighbours": options.k}
    settings = parse(Moved, {**dials(options), **given}, "--set")
    models = Lab(workspace).models
    job = models.measure_moved(options.before, options.after, options.data, settings)
    with show.results_only(options.json):
        if job is not None and not show.watch(workspace, [job.run_id]):
            return 1
    show_moved.show_moved(workspace, models.moved(options.before, options.after, options.data, settings), options.json)
    return 0


def scores(workspace: Workspace, options: argparse.Namespace) -> None:
    path = Lab(workspace).models.export_scores(
        options.runs, options.out, options.data, kind=options.format, pairs=options.pairs, overwrite=options.overwrite
    )
    dataset = options.data or read_run(workspace, options.runs[0]).dataset
    print(f"scores of {len(options.runs)} models on {dataset} ({options.pairs} pairs) are in {path}")


def columns(workspace: Workspace, options: argparse.Namespace) -> None:
    path = not_there(Path(options.out).expanduser().absolute(), options.overwrite)
    table = Lab(workspace).models[options.run].columns(options.names, options.data)
    write_bytes(path, as_csv(table).encode())
    print(f"{len(table):,} images of {options.run} are in {path}")


def _say_notes(workspace: Workspace, run_id: str) -> None:
    for note in read_status(workspace.run(run_id)).get("notes", ()):
        print(f"fairlab: {note}", file=sys.stderr)
