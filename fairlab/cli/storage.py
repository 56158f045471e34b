"""`fairlab storage`: disk, prune, archive, import and forget."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from fairlab.api.console import is_terminal
from fairlab.cli import arguments
from fairlab.cli.grammar import Noun, Parser, data_argument, json_option, run_argument
from fairlab.cli.streams import counter
from fairlab.errors import FairLabError
from fairlab.formatting import duration, room, some
from fairlab.workspace import Workspace


def storage_commands(parser: Parser) -> None:
    noun = Noun(parser)
    disk = noun.add("disk", "what the workspace holds on disk", do_disk)
    disk.add_argument("--by", choices=["run", "study", "kind"], default="kind", help="group by (default: kind)")
    json_option(disk, "print JSON: bytes of every run and kind")
    prune = noun.add("prune", "delete checkpoints of runs that have ended; without --yes only list them", do_prune)
    run_argument(prune, "run", "only these runs; then also the last checkpoint of a run that can be resumed", "*")
    prune.add_argument("--study", default="", help="only runs that were started for this study")
    prune.add_argument(
        "--keep",
        type=arguments.whole(0, 1_000_000),
        default=1,
        help="how many of each run stay, the newest (default 1; 0: weights are enough)",
    )
    prune.add_argument("--yes", action="store_true", help="delete them")
    json_option(prune)
    archive = noun.add("archive", "write a run, or a study with its runs, as one tar file with hashes", do_archive)
    archive.add_argument("name", help="run or study")
    archive.add_argument("--out", required=True, help="file to write (.tar)")
    archive.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    archive.add_argument(
        "--templates", action="store_true", help="include embeddings and classifiers (templates of people) and names"
    )
    archive.add_argument(
        "--checkpoints", action="store_true", help="include checkpoints, to continue elsewhere; they hold classifiers"
    )
    archive.add_argument("--no-numbers", action="store_true", help="leave out results and maps: the networks alone")
    json_option(archive)
    bring = noun.add("import", "import an archive that `fairlab storage archive` has written", do_import, silent=True)
    bring.add_argument("file", help="archive (.tar)")
    json_option(bring)
    _forget_options(noun)


def _forget_options(noun: Noun) -> None:
    forget = noun.add(
        "forget",
        "delete people from a data set and from everything that was made with their images",
        do_forget,
        "If it was interrupted, run it again: it continues. Deleted: images, pairs, embeddings, indexes, maps, scores, reports,\n"
        "names. Classifiers keep a row of each person (a template) unless --heads zeroes it.",
        silent=True,
    )
    data_argument(forget, "dataset", "name of a data set", "?", "")
    forget.add_argument("person", nargs="*", help="names of people in it, or the mark that an earlier deletion left")
    forget.add_argument("--heads", action="store_true", help="zero their rows in classifiers and checkpoints too")
    forget.add_argument("--files", action="store_true", help="delete your own image files of them too")
    forget.add_argument("--expired", action="store_true", help="data sets that are over their age limit, as a whole")
    forget.add_argument(
        "--dry-run", action="store_true", help="list everything that it would reach, and change nothing"
    )
    json_option(forget)


COMMANDS = {"storage": storage_commands}


def do_disk(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage.disk import summed, usage
    from fairlab.tables import rows_as_json

    table = usage(workspace)
    if options.json:
        print(rows_as_json(table))
        return 0
    found = summed(table, options.by)
    print(found.assign(bytes=found["bytes"].map(room)).to_string(index=False) if len(found) else "nothing yet")
    print(f"{room(int(table['bytes'].sum()))} in {workspace.home}")
    return 0


def do_prune(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage import prune
    from fairlab.tables import rows_as_json

    work = prune.prune if options.yes else prune.prunable
    found = work(workspace, options.keep, options.study, options.run)
    if options.json:
        print(rows_as_json(found))
        return 0
    if len(found):
        print(found.assign(bytes=found["bytes"].map(room)).to_string(index=False))
    said = "deleted" if options.yes else "would go; --yes deletes them"
    print(f"{len(found)} checkpoints, {room(int(found['bytes'].sum()))}, {said}")
    return 0


def do_archive(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.show import say
    from fairlab.storage.archive import Choice, archive, staying

    choice = Choice(not options.no_numbers, options.templates, options.checkpoints)
    out = Path(options.out).expanduser().absolute()
    listing = archive(workspace, options.name, out, choice, _progress(), overwrite=options.overwrite)
    runs = f"{len(listing['runs'])} run{'s' if len(listing['runs']) > 1 else ''}"
    said = f"{runs}, {len(listing['files'])} files, {room(out.stat().st_size)} in {out}"
    print(json.dumps(listing, indent=1) if options.json else said)
    for name, kept in staying(workspace, listing["runs"]).items():
        say(
            f"saved selections of {name} stay here ({some(kept)}); `fairlab data selections export {name} SELECTION --out FILE` writes one"
        )
    return 0


def do_import(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage.archive_reading import bring_in

    found = bring_in(workspace, Path(options.file).expanduser().absolute(), _progress())
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    of = f" of study {found['study']}" if found["study"] else ""
    print(f"{len(found['runs'])} runs{of} brought in" + "".join(f"\n  {name}" for name in found["runs"]))
    if found["same"]:
        print(f"{len(found['same'])} were here already, with the same content: left as they are")
    if found["missing"]:
        print(f"not here, and needed to make them again: {some(found['missing'])}")
    for note in found["notes"]:
        print(f"note: {note}")
    return 0


def do_forget(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.queue.launch import dispatch
    from fairlab.storage.deletion_words import reached
    from fairlab.storage.people import forget
    from fairlab.storage.people.forget_survey import Found

    cut = forget.unfinished(workspace)
    if cut and options.dry_run:
        said = "a deletion was interrupted: the command without --dry-run finishes it first; nothing was changed"
        print(json.dumps({"unfinished": True, "notes": [said]}, indent=1) if options.json else said)
        return 0
    if options.expired:
        return _expired(workspace, options)
    if cut and not options.dataset:
        if options.heads or options.files:
            raise FairLabError("--heads and --files belong to the deletion of people: name data set and people again")
        found = forget.finish(workspace) or Found()
        dispatch(workspace)  # nothing could start meanwhile
        print(json.dumps(asdict(found), indent=1) if options.json else "\n".join(reached(found)))
        return 0
    if not options.dataset or not options.person:
        raise FairLabError("name a data set and at least one person in it: `fairlab storage forget DATASET PERSON`")
    if options.dry_run:
        found = forget.survey(workspace, options.dataset, options.person, options.heads, options.files)
    else:
        found = forget.forget(
            workspace, options.dataset, options.person, options.heads, options.files, _progress("steps")
        )
    if cut:
        dispatch(workspace)
    print(json.dumps(asdict(found), indent=1) if options.json else "\n".join(reached(found, options.files)))
    return 0


def _expired(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage.retention import damaged, forget_expired, limits

    if options.dataset:
        raise FairLabError("--expired is about all data sets that are over their age limit: name none")
    at = datetime.now(UTC)
    if options.dry_run:
        found, left = [limit for limit in limits(workspace, at) if limit.over], damaged(workspace)
    else:
        done = forget_expired(workspace, at, options.heads)
        found, left = done.gone, done.left
    rows = [(limit.dataset, limit.days, limit.until.isoformat()) for limit in found]
    if options.json:
        said = [dict(zip(("dataset", "days", "until"), row, strict=True)) for row in rows]
        said += [{"dataset": name, "left": why} for name, why in left.items()]
        print(json.dumps(said, indent=1))
        return 1 if left else 0
    for name, days, until in rows:
        print(f"{name}: to be kept {days} days, until {until[:10]}")
    print(f"{len(rows)} data sets {'would go' if options.dry_run else 'deleted'}")
    for name, why in left.items():
        print(f"{name} stays: {why}")
    return 1 if left else 0


def _progress(unit: str = "MB") -> Callable[[int, int], None]:
    """A counter with the time left on a terminal's last line, on stderr; silent elsewhere."""
    if not is_terminal(sys.stderr):
        return lambda _done, _total: None
    started, size = time.monotonic(), 1e6 if unit == "MB" else 1.0

    def show(done: int, total: int) -> None:
        left = (time.monotonic() - started) * (total - done) / max(done, 1)
        counter(f"{done / size:,.0f} of {total / size:,.0f} {unit}, {duration(left)} left   ")
        if done == total:
            print(file=sys.stderr)

    return show
