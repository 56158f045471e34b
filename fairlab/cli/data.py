"""`fairlab data list`: data sets listed, shown, added, made, checked, moved and deleted."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fairlab.api import Lab
from fairlab.api.watching import follow
from fairlab.cli import arguments, show, show_data
from fairlab.cli.arguments import dials
from fairlab.cli.grammar import Noun, Parser, data_argument, json_option, run_argument, set_option
from fairlab.cli.selections import selections_commands
from fairlab.data.shares import TOLERANCE
from fairlab.errors import FairLabError
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import Overlap, Recipe, Source, parse
from fairlab.store.runs import read_status
from fairlab.workspace import Workspace

SHARES = f"""columns:
  image_id, or image, path, file ...   which image: its number, or where it is
  share/GROUP, or named as the groups  from 0 to 1; a row adds up to 1 within {TOLERANCE:g}
Images that the table does not name have no shares. Earlier shares are replaced.
`fairlab data make NAME --set dataset=SET --set balance=mass` balances by them;
the loss setting margin_factor=shares lets margins follow them."""


TRAITS = """columns of a table:
  image_id, or image, path, file ...   which image: its number, or where it is
  any other                            a trait: numbers, or texts; an empty cell is unknown
Imported traits of the same name are replaced, others stay. --measure finds sharpness, brightness,
contrast, skin luminance and, where the data have landmarks, the size of faces."""


def data_commands(parser: Parser) -> None:
    noun = Noun(parser)
    json_option(noun.add("list", "all data sets", list_data))
    one = noun.add("show", "images, people and pairs of every group of a data set", show_one)
    data_argument(one)
    json_option(one)
    new = noun.add("add", "make your own images a data set; they stay where they are", add)
    new.add_argument("path", help="file or folder with your data")
    new.add_argument("--name", default="", help="what to call it (default: from the path)")
    new.add_argument("--dry-run", action="store_true", help="only report what was understood")
    new.add_argument("--pictures", metavar="FOLDER", help="with --dry-run: write faces, mean faces and alignment there")
    _settings(new, "add", "image_px=112")
    made = noun.add("make", "make a data set of others by a recipe; no image is copied", make)
    made.add_argument("name", help="what to call it")
    _settings(made, "make", "dataset=faces")
    both = noun.add("overlap", "look for people and images of a test set in a training set", overlap)
    data_argument(both, "train", "training set")
    data_argument(both, "test", "test set")
    both.add_argument(
        "--model", default="", metavar="RUN", help="model whose embeddings of both show the nearest faces"
    )
    _settings(both, "overlap", 'train_splits=["train"]')
    lost = noun.add("find", "bring back a data set that runs know and that is missing here", find)
    data_argument(lost)
    lost.add_argument("path", nargs="?", default="", help="where its images are now (none if they were generated)")
    json_option(lost)
    moved = noun.add("move", "say where the images of a data set are now; every image is read there once", move)
    data_argument(moved)
    moved.add_argument("path", help="where its images are now")
    moved.add_argument(
        "--changed", action="store_true", help="accept changed images; this makes it a different data set"
    )
    drawn = noun.add("pairs", "draw pairs for a data set without any", pairs)
    data_argument(drawn)
    run_argument(drawn, "--model", "model that picks the impostors (default: by chance)")
    drawn.add_argument("--dry-run", action="store_true", help="only report what would be drawn")
    _settings(drawn, "pairs", "genuine=3000")
    soft = noun.add(
        "shares", "import soft group shares of every image of a data set from a table", shares, epilog=SHARES
    )
    data_argument(soft)
    soft.add_argument("table", help="CSV or parquet file: a row per image, a column per group")
    soft.add_argument("--dry-run", action="store_true", help="only check the table")
    json_option(soft)
    known = noun.add("traits", "what is known of each image: list, measure or import", traits, epilog=TRAITS)
    data_argument(known)
    known.add_argument("--table", metavar="FILE", help="import the traits of a CSV or parquet table")
    known.add_argument(
        "--columns", nargs="+", default=[], metavar="NAME", help="with --table: only these columns (default: all)"
    )
    known.add_argument(
        "--skip-unknown",
        action="store_true",
        help="with --table: leave out rows of images that are not in the data set",
    )
    known.add_argument("--dry-run", action="store_true", help="with --table: only check it")
    known.add_argument("--measure", action="store_true", help="measure traits from the pixels of all images")
    known.add_argument("--remove", metavar="NAME", action="append", default=[], help="remove a trait")
    json_option(known)
    selections_commands(noun.add("selections", "images of a data set that are saved under a name", list_data))
    gone = noun.add("delete", "delete a data set and the run that made it", delete)
    data_argument(gone)
    gone.add_argument("--dry-run", action="store_true", help="only say what would go and what needs it")
    gone.add_argument("--force", action="store_true", help="even if runs or data sets need it")
    json_option(gone)
    kept = noun.add("keep", "limit how long a data set is kept (see `fairlab storage forget --expired`)", keep)
    data_argument(kept)
    kept.add_argument("--days", type=arguments.whole(0, 36_500), required=True, help="age limit; 0 lifts it")


def _settings(parser: Parser, name: str, example: str) -> None:
    set_option(parser, f"change a setting, e.g. {example} (`fairlab settings show data.{name}`)")
    json_option(parser)


COMMANDS = {"data": data_commands}


def list_data(workspace: Workspace, options: argparse.Namespace) -> None:
    show_data.show_all(workspace, options.json)


def show_one(workspace: Workspace, options: argparse.Namespace) -> None:
    show_data.show_data(workspace, options.name, options.json)


def add(workspace: Workspace, options: argparse.Namespace) -> int:
    """Make files a data set, or with --dry-run report what was understood of them."""
    if options.pictures and not options.dry_run:
        raise FairLabError("--pictures needs --dry-run: `fairlab data add PATH --dry-run --pictures FOLDER`")
    data = Lab(workspace).data
    source = parse(Source, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        report = data.preview(source, options.pictures or "", show.progress_line())
        names = report.pop("pictures", [])
        show.show_report(report, options.json)
        if options.pictures:
            show.say_pictures(Path(options.pictures).expanduser().absolute(), names, list(report["groups"]))
        return 0
    job = data.add(source, options.name)
    with show.results_only(options.json):
        if not show.watch(workspace, [job.run_id]):
            return 1
    show.show_report(job.report, options.json)
    return 0


def make(workspace: Workspace, options: argparse.Namespace) -> int:
    """Make a data set by a recipe and show what is in it."""
    job = Lab(workspace).data.make(options.name, parse(Recipe, dials(options), "--set"))
    if not _done(workspace, job.run_id, options.json):
        return 1
    show_data.show_data(workspace, job.dataset, options.json)
    return 0


def overlap(workspace: Workspace, options: argparse.Namespace) -> int:
    """Check a training set against a test set and say what was found."""
    data = Lab(workspace).data
    both = {"train": options.train, "test": options.test, "model": options.model}
    job = data.overlap(parse(Overlap, {**dials(options), **both}, "--set"))
    if not _done(workspace, job.run_id, options.json):
        return 1
    verdict = data.verdict(options.train, options.test)
    sentence = data.verdict_sentence(options.train, options.test)
    facts = verdict.facts if verdict else {}
    print(json.dumps({**facts, "sentence": sentence}, indent=1) if options.json else sentence)
    return 0


def move(workspace: Workspace, options: argparse.Namespace) -> None:
    """Say where the images of a data set are now."""
    data = Lab(workspace).data[options.name]
    before = data.fingerprint
    moved = data.move(options.path, options.changed, show.progress_line())
    same = "the same data" if moved.fingerprint == before else "other data now: its fingerprint has changed"
    print(f"{options.name} reads its images from {moved.opened.info['images_from']['path']}; it is {same}")


def find(workspace: Workspace, options: argparse.Namespace) -> int:
    """Bring back a data set that runs know and that is not in this workspace."""
    job = Lab(workspace).data.find(options.name, options.path)
    if not _done(workspace, job.run_id, options.json):
        return 1
    show_data.show_data(workspace, options.name, options.json)
    facts = read_status(job.folder)
    if "pairs_seed" in facts:
        show.say(f"Its pairs are drawn again, with seed {facts['pairs_seed']} as before.")
    if "pairs_missing" in facts:
        show.say(f"The pairs that were drawn for it before are missing: {facts['pairs_missing']}.")
    return 0


def pairs(workspace: Workspace, options: argparse.Namespace) -> int:
    """Draw pairs for a data set that came without, or with --dry-run say what would be drawn."""
    data = Lab(workspace).data
    mined = {"mined_by": options.model} if options.model else {}
    settings = parse(DrawnPairs, {**dials(options), **mined}, "--set")
    if options.dry_run:
        drawn = data[options.name].preview_pairs(settings)
        groups, notes = drawn.facts, drawn.notes
    else:
        if not _done(workspace, data[options.name].draw_pairs(settings).run_id, options.json):
            return 1
        kept = data[options.name].opened.info["drawn_pairs"]
        groups, notes = kept["groups"], kept["notes"]
    if options.json:
        print(json.dumps({"groups": groups, "notes": notes}, indent=1))
        return 0
    for group, counts in groups.items():
        print(f"{group}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    for note in notes:
        print(note)
    print(
        "nothing is written yet"
        if options.dry_run
        else f"`fairlab evaluate RUN {options.name}` evaluates a model on them"
    )
    return 0


def shares(workspace: Workspace, options: argparse.Namespace) -> None:
    """Import soft group shares, or with --dry-run only check the table."""
    handle = Lab(workspace).data[options.name].shares
    if not options.dry_run:
        handle.add(options.table)
        show_data.show_shares(workspace, options.name, options.json)
        return
    found = handle.preview(options.table)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    groups, known, without = found["groups"], found["images"], found["without_shares"]
    print(f"shares of {', '.join(groups)} for {known:,} images; {without:,} images have none; nothing is written yet")


def traits(workspace: Workspace, options: argparse.Namespace) -> int:
    """List the traits of a data set, after importing, measuring or removing some."""
    if (options.dry_run or options.columns or options.skip_unknown) and not options.table:
        raise FairLabError(
            "--dry-run, --columns and --skip-unknown need --table: `fairlab data traits NAME --table FILE`"
        )
    handle = Lab(workspace).data[options.name].traits
    columns = tuple(options.columns)
    if options.dry_run:
        found = handle.preview(options.table, columns, options.skip_unknown)
        if options.json:
            print(json.dumps(found, indent=1))
            return 0
        for name, known in found.items():
            print(f"{name}: known of {known:,} images")
        print("nothing is written yet")
        return 0
    if options.remove:
        handle.remove(*options.remove)
    if options.table:
        handle.add(options.table, columns, options.skip_unknown)
    if options.measure and not _done(workspace, handle.measure().run_id, options.json):
        return 1
    show_data.show_traits(workspace, options.name, options.json)
    return 0


def delete(workspace: Workspace, options: argparse.Namespace) -> None:
    """Delete a data set and the run that made it; with --dry-run say what would go and what needs it."""
    data = Lab(workspace).data[options.name]
    show.show_goes([data.what_goes() if options.dry_run else data.delete(options.force)], options.json)


def keep(workspace: Workspace, options: argparse.Namespace) -> None:
    """Limit how long a data set is kept."""
    lab = Lab(workspace)
    lab.data[options.name].keep(options.days or None)
    until = next((limit.until for limit in lab.storage.limits() if limit.dataset == options.name), None)
    how = f"until {until:%Y-%m-%d}; then `fairlab storage forget --expired` deletes it" if until else "without a limit"
    print(f"{options.name} is kept {how}")


def _done(workspace: Workspace, run_id: str, quiet: bool) -> bool:
    """Wait for a job, with progress unless stdout is for JSON; False when it did not come to its end."""
    if not quiet:
        return show.watch(workspace, [run_id])
    faults = follow(workspace, [run_id], show=False)
    for fault in faults:
        show.say(fault)
    return not faults
