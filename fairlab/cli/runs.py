"""`fairlab runs`, `watch`, `work`: runs looked at, moved, stopped, waited for, and carried out."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Mapping, Sequence

from fairlab.cli.arguments import dials, where
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace

ACTIONS: Mapping[str, str] = {
    "list": "all runs (the default)",
    "queue": "what works and what waits for what, in starting order, and how far each study is",
    "show": "settings and state of a run",
    "log": "its log",
    "stop": "save and end; a run that waits is cancelled (--study: all of a study)",
    "resume": "go on after a stop, a failure or a crash (--study: all of a study that ended badly)",
    "delete": "the run and its files (--study: a whole study; --dry-run: only say what would go and what needs it)",
    "wait": "until these runs have ended",
    "first": "start these runs before all others, with what they build on",
    "earlier": "one place earlier",
    "later": "one place later",
    "hold": "keep a waiting run from starting",
    "release": "let a held run start",
    "where": "change where waiting or ended runs are to work: --devices 2, --engine slurm (resume takes these too)",
    "clone": "the same run with other settings: --set training.epochs=5",
}


def do_runs(workspace: Workspace, options: argparse.Namespace) -> int:
    """Carry out one of ACTIONS."""
    from fairlab.cli import show, show_queue
    from fairlab.queue import edit, launch

    changes, places = dials(options), where(options)
    action = options.action
    if options.study and action not in ("stop", "resume", "delete"):
        raise FairLabError("--study belongs to `fairlab runs stop`, `fairlab runs resume` and `fairlab runs delete`")
    if options.dry_run and action != "delete":
        raise FairLabError("--dry-run belongs to `fairlab runs delete`")
    if options.other_data and (action != "resume" or options.study):
        raise FairLabError("--other-data belongs to `fairlab runs resume RUN`")
    if changes and action != "clone":
        raise FairLabError("--set belongs to `fairlab runs clone RUN`")
    if places and action not in ("where", "resume", "clone"):
        raise FairLabError("--engine, --devices and --on belong to `fairlab runs where`, `resume` and `clone`")
    if action == "list":
        show.show_runs(workspace, options.json)
    elif action == "queue":
        launch.dispatch(workspace)
        show_queue.show_queue(workspace, options.json)
    elif action == "delete" and (options.study or options.dry_run):
        _delete_or_say(workspace, options)
    elif options.study:
        if options.run:
            raise FairLabError(f"give run ids or --study, not both: `fairlab runs {action} --study {options.study}`")
        if action == "stop":
            _count("asked to stop", edit.stop_study(workspace, options.study, options.force))
        else:
            _count("queued again", edit.resume_study(workspace, options.study, places))
    elif not options.run:
        raise FairLabError(f"`fairlab runs {action}` needs a run id; `fairlab runs` lists them")
    elif action == "wait":
        return 0 if show.watch(workspace, options.run) else 1
    elif action == "clone":
        for run_id in options.run:
            name, new = edit.clone(workspace, run_id, changes, places)
            print(f"{name} is queued" if new else f"the same settings are the same run: {name}, nothing was started")
    elif action == "where":
        edit.where(workspace, options.run, places)
    elif action == "resume":
        if places:
            edit.where(workspace, options.run, places)
        for run_id in options.run:
            launch.resume(workspace, run_id, options.other_data)
    elif action in ("first", "earlier", "later", "hold", "release"):
        several: Callable[[Workspace, Sequence[str]], None] = getattr(edit, action)
        several(workspace, options.run)
    else:
        for run_id in options.run:
            _one(workspace, action, run_id, options.force)
    return 0


def _one(workspace: Workspace, action: str, run_id: str, force: bool) -> None:
    from fairlab.cli import show
    from fairlab.queue import launch

    if action == "stop":
        launch.stop(workspace, run_id, force)
    elif action == "delete":
        launch.delete(workspace, run_id, force)
    else:
        show.show_run(workspace, run_id, action == "log")


def _delete_or_say(workspace: Workspace, options: argparse.Namespace) -> None:
    """A whole study goes, or what would go with runs or a study is said."""
    from fairlab.api import Lab
    from fairlab.storage.deletion_words import goes

    if bool(options.study) == bool(options.run):
        raise FairLabError("name runs to delete, or a study with --study")
    lab = Lab(workspace)
    if options.study:
        study = lab.studies[options.study]
        found = [study.what_goes() if options.dry_run else study.delete(options.force)]
    else:
        found = [lab.runs[run_id].what_goes() for run_id in options.run]
    for item in found:
        print("\n".join(goes(item)))


def _count(what: str, run_ids: Sequence[str]) -> None:
    print(f"{len(run_ids)} run{'' if len(run_ids) == 1 else 's'} {what}")


def do_watch(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.watch import overview

    with contextlib.suppress(KeyboardInterrupt):  # the way to leave
        overview(workspace, options.name, options.once, options.json)
    return 0


def do_work(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.jobs.worker import leave, work

    code = work(workspace, options.run)
    leave(code)
    return code


def watch_one(workspace: Workspace, run_id: str) -> int:
    """Show a run until it ends; the exit code."""
    from fairlab.cli import show

    return 0 if show.watch(workspace, [run_id]) else 1
