"""`fairlab data`: what there is; add, make, overlap, find, move, pairs, delete, keep."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairlab.api import Lab
from fairlab.api.watching import follow
from fairlab.cli import show, show_data
from fairlab.cli.arguments import dials
from fairlab.cli.runs import watch_one
from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import Overlap, Recipe, Source, parse
from fairlab.storage.deletion_words import goes
from fairlab.store.runs import read_status
from fairlab.workspace import Workspace


def make(workspace: Workspace, options: argparse.Namespace, values: Mapping[str, Any]) -> int:
    """Make a data set by a recipe and show what is in it."""
    if not options.path or options.test or options.name or options.model or options.dry_run:
        raise FairLabError("name the data set to make: `fairlab data make NAME --set dataset=...`")
    job = Lab(workspace).data.make(options.path, parse(Recipe, values, "--set"))
    if not _done(workspace, job.run_id, options.json):
        return 1
    show_data.show_data(workspace, job.dataset, options.json)
    return 0


def overlap(workspace: Workspace, options: argparse.Namespace, values: Mapping[str, Any]) -> int:
    """Check a training set against a test set and say what was found."""
    if not options.path or not options.test or options.name or options.dry_run:
        raise FairLabError("name the two data sets: `fairlab data overlap TRAIN TEST`")
    sets = {"train": options.path, "test": options.test, "model": options.model}
    lab = Lab(workspace)
    job = lab.data.overlap(parse(Overlap, {**values, **sets}, "--set"))
    if not _done(workspace, job.run_id, options.json):
        return 1
    found = lab.data.verdict(options.path, options.test)
    said = lab.data.verdict_sentence(options.path, options.test)
    print(json.dumps({**(found.facts if found else {}), "sentence": said}, indent=1) if options.json else said)
    return 0


def move(workspace: Workspace, options: argparse.Namespace, _values: Mapping[str, Any]) -> int:
    """Say where the images of a data set are now."""
    if not options.path or not options.test:
        raise FairLabError("name the data set and where its images are now: `fairlab data move NAME PATH`")
    before = Lab(workspace).data[options.path]
    fingerprint = before.fingerprint
    found = before.move(options.test, options.changed, show.progress_line()).opened
    same = "the same data" if found.fingerprint == fingerprint else "other data now: its fingerprint has changed"
    print(f"{options.path} reads its images from {found.info['images_from']['path']}; it is {same}")
    return 0


def find(workspace: Workspace, options: argparse.Namespace, _values: Mapping[str, Any]) -> int:
    """Bring back a data set that runs know and that is not in this workspace."""
    if not options.path:
        raise FairLabError("name the data set and where its images are now: `fairlab data find NAME PATH`")
    run_id = Lab(workspace).data.find(options.path, options.test or "").run_id
    if not _done(workspace, run_id, options.json):
        return 1
    show_data.show_data(workspace, options.path, options.json)
    facts = read_status(workspace.run(run_id))
    if "pairs_seed" in facts:
        show.say(f"Its pairs are drawn again, with seed {facts['pairs_seed']} as before.")
    if "pairs_missing" in facts:
        show.say(f"The pairs that were drawn for it before are missing: {facts['pairs_missing']}.")
    return 0


def pairs(workspace: Workspace, options: argparse.Namespace, values: Mapping[str, Any]) -> int:
    """Draw pairs for a data set that came without, or with --dry-run say what would be drawn."""
    if not options.path or options.test or options.name:
        raise FairLabError("name the data set to draw pairs for: `fairlab data pairs NAME [--set genuine=3000]`")
    values = {**values, **({"mined_by": options.model} if options.model else {})}
    settings = parse(DrawnPairs, values, "--set")
    lab = Lab(workspace)
    if options.dry_run:
        drawn = lab.data[options.path].preview_pairs(settings)
        groups, notes = drawn.facts, drawn.notes
    else:
        if not _done(workspace, lab.data[options.path].draw_pairs(settings).run_id, options.json):
            return 1
        kept = lab.data[options.path].opened.info["drawn_pairs"]
        groups, notes = kept["groups"], kept["notes"]
    if options.json:
        print(json.dumps({"groups": groups, "notes": notes}, indent=1))
        return 0
    for group, counts in groups.items():
        print(f"{group}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    for note in notes:
        print(note)
    done = (
        "nothing is written yet"
        if options.dry_run
        else f"`fairlab evaluate RUN {options.path}` evaluates a model on them"
    )
    print(done)
    return 0


def delete(workspace: Workspace, options: argparse.Namespace, _values: Mapping[str, Any]) -> int:
    """Delete a data set and the run that made it; with --dry-run say what would go and what needs it."""
    if not options.path or options.test:
        raise FairLabError("name the data set to delete: `fairlab data delete NAME`")
    data = Lab(workspace).data[options.path]
    found = data.what_goes() if options.dry_run else data.delete(options.force)
    print(json.dumps(asdict(found), indent=1) if options.json else "\n".join(goes(found)))
    return 0


def keep(workspace: Workspace, options: argparse.Namespace, _values: Mapping[str, Any]) -> int:
    """Limit how long a data set is kept."""
    if not options.path or options.test or options.days is None:
        raise FairLabError(
            "name the data set and for how long: `fairlab data keep NAME --days 180` (0 lifts the limit)"
        )
    lab = Lab(workspace)
    lab.data[options.path].keep(options.days or None)
    until = next((limit.until for limit in lab.storage.limits() if limit.dataset == options.path), None)
    said = f"until {until:%Y-%m-%d}; then `fairlab forget --expired` deletes it" if until else "without a limit"
    print(f"{options.path} is kept {said}")
    return 0


def _done(workspace: Workspace, run_id: str, quiet: bool) -> bool:
    """Wait for a job, with progress unless stdout is for JSON; False when it did not come to its end."""
    if not quiet:
        return show.watch(workspace, [run_id])
    faults = follow(workspace, [run_id], show=False)
    for fault in faults:
        show.say(fault)
    return not faults


ACTIONS = {"make": make, "overlap": overlap, "find": find, "move": move, "pairs": pairs, "delete": delete, "keep": keep}


def do_data(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.dataset in ACTIONS:
        return ACTIONS[options.dataset](workspace, options, dials(options))
    if options.test or options.model:
        raise FairLabError("this belongs to `fairlab data overlap TRAIN TEST`")
    if options.dataset != "add":
        if options.path or options.dry_run or options.name or options.set or options.pictures:
            raise FairLabError("these options belong to `fairlab data add PATH`")
        show_data.show_data(workspace, options.dataset, options.json)
        return 0
    if not options.path:
        raise FairLabError("name the file or folder to add: `fairlab data add PATH`")
    if options.pictures and not options.dry_run:
        raise FairLabError(
            "--pictures belongs to an inspection of data: `fairlab data add PATH --dry-run --pictures FOLDER`"
        )
    source = parse(Source, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        found = Lab(workspace).data.preview(source, options.pictures or "", show.progress_line())
        names = found.pop("pictures", [])
        show.show_report(found, options.json)
        if options.pictures:
            show.say_pictures(Path(options.pictures).expanduser().absolute(), names, list(found["groups"]))
        return 0
    run_id = Lab(workspace).data.add(source, options.name).run_id
    with show.results_only(options.json):
        code = watch_one(workspace, run_id)
    if code == 0:
        show.show_report(read_json(workspace.run(run_id) / "report.json"), options.json)
    return code
