"""`fairlab data make` and `fairlab data overlap`: data made of other data, and whether two sets share anything."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from fairlab import api, terminal
from fairlab.config import Overlap, Recipe, parse
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace


def make(workspace: Workspace, options: argparse.Namespace, values: Mapping[str, Any]) -> int:
    """Make a data set by a recipe and show what is in it."""
    if not options.path or options.test or options.name or options.model or options.dry_run:
        raise FairLabError("name the data set to make: `fairlab data make NAME --set dataset=...`")
    run_id = api.make_data(workspace, parse(Recipe, values, "--set"), options.path)
    if not _done(workspace, run_id, options.json):
        return 1
    terminal.show_data(workspace, api.read_run(workspace, run_id).dataset, options.json)
    return 0


def overlap(workspace: Workspace, options: argparse.Namespace, values: Mapping[str, Any]) -> int:
    """Check a training set against a test set and say what was found."""
    if not options.path or not options.test or options.name or options.dry_run:
        raise FairLabError("name the two data sets: `fairlab data overlap TRAIN TEST`")
    sets = {"train": options.path, "test": options.test, "model": options.model}
    run_id = api.check_overlap(workspace, parse(Overlap, {**values, **sets}, "--set"))
    if not _done(workspace, run_id, options.json):
        return 1
    found = api.verdict(workspace, options.path, options.test)
    said = api.sentence(found, options.path, options.test)
    print(json.dumps({**(found.facts if found else {}), "sentence": said}, indent=1) if options.json else said)
    return 0


def _done(workspace: Workspace, run_id: str, quiet: bool) -> bool:
    """Wait for a job, with progress unless stdout is for JSON; False when it did not come to its end."""
    if not quiet:
        return terminal.watch(workspace, [run_id])
    if api.wait(workspace, [run_id]):
        return True
    view = api.state(workspace.run(run_id))
    terminal.say(f"{run_id} {view.status}: {view.reason or f'see `fairlab runs log {run_id}`'}")
    return False


ACTIONS = {"make": make, "overlap": overlap}
