"""`fairlab runs list`, `watch`, `work`: runs looked at, moved, stopped, waited for, and carried out."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

from fairlab.cli import behind, reasons
from fairlab.cli.arguments import dials, where
from fairlab.cli.grammar import Noun, Parser, json_option, placement_options, run_argument, set_option
from fairlab.cli.labels import find_options, label_commands
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace


def runs_commands(parser: Parser) -> None:
    noun = Noun(parser)
    listed = noun.add("list", "all runs, oldest first", list_runs)
    find_options(listed)
    json_option(listed)
    label_commands(noun, "runs")
    json_option(noun.add("queue", "what works, and what waits for what, in starting order", queue))
    run_argument(noun.add("show", "settings and state of a run, as JSON", show_run))
    run_argument(noun.add("log", "what a run printed", log))
    routed = noun.add("routing", "where a student of several teachers routed each group's images", routing)
    run_argument(routed, "run", "run id")
    routed.add_argument("--by-group", action="store_true", help="shares by group and teacher instead of their measures")
    json_option(routed)
    compared = noun.add("compare", "runs side by side: what differs, their numbers, paired differences", compare_runs)
    run_argument(compared, "runs", "run ids; the others are held against the first", "+")
    compared.add_argument(
        "--at-fmr", type=float, metavar="X", default=0.01, help="FMR that each threshold is set at (default 0.01)"
    )
    json_option(compared)
    behind.pairs_options(noun)
    behind.people_options(noun)
    reasons.quality_options(noun)
    reasons.causes_options(noun)
    run_argument(noun.add("wait", "wait until these runs have ended", wait), "runs", "run ids", "+")
    stop = noun.add("stop", "save and end; a run that waits is cancelled", stop_runs)
    run_argument(stop, "runs", "run ids", "+")
    stop.add_argument("--force", action="store_true", help="end the process now; its last checkpoint stays")
    resume = noun.add("resume", "continue after a stop, a failure or a crash", resume_runs)
    run_argument(resume, "runs", "run ids", "+")
    resume.add_argument(
        "--other-data", action="store_true", help="although the data set has changed since; the run records it"
    )
    placement_options(resume)
    clone = noun.add("clone", "the same run with other settings", clone_runs)
    run_argument(clone, "runs", "run ids", "+")
    placement_options(clone)
    set_option(clone, "change a setting, e.g. training.epochs=5")
    delete = noun.add("delete", "delete runs and their files", delete_runs)
    run_argument(delete, "runs", "run ids", "+")
    delete.add_argument("--dry-run", action="store_true", help="only say what would go and what needs it")
    delete.add_argument("--force", action="store_true", help="even if others build on them")
    json_option(delete)
    for name, sentence in (
        ("first", "start these runs before all others, with what they build on"),
        ("earlier", "move waiting runs one place up"),
        ("later", "move waiting runs one place down"),
        ("hold", "keep waiting runs from starting"),
        ("release", "let held runs start"),
    ):
        run_argument(noun.add(name, sentence, _ordered(name)), "runs", "run ids", "+")
    place = noun.add("where", "change where waiting or ended runs are to work", place_runs)
    run_argument(place, "runs", "run ids", "+")
    placement_options(place)


def watch_options(parser: Parser) -> None:
    parser.epilog = (
        "Without names: whatever is queued or running, until Ctrl-C, which leaves the runs alone. With names: until all of\n"
        "them have ended. What waits is started when its turn comes. Into a file or another program: a line for each change."
    )
    run_argument(parser, "name", "studies or run ids (default: all that are active)", "*")
    parser.add_argument("--once", action="store_true", help="show the current state and return; nothing is started")
    json_option(parser, "a JSON object a line: a run that is new or has changed")
    parser.set_defaults(do=watch)


def work_options(parser: Parser) -> None:
    parser.add_argument("run", help="run id")
    parser.set_defaults(do=work, silent=True)


COMMANDS = {"runs": runs_commands, "watch": watch_options, "work": work_options}


def _lab(workspace: Workspace) -> Any:
    """The lab; `work` must not import it before it has its lock."""
    from fairlab.api import Lab

    return Lab(workspace)


def list_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show

    table = _lab(workspace).runs.find(options.search, tags=options.tag, starred=options.starred)
    looked_for = options.search or options.tag or options.starred
    none = f"no runs yet in {workspace.home}; start with `fairlab demo`"
    show.show_runs(table, options.json, "no run matches" if looked_for else none)


def queue(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show_queue

    show_queue.show_queue(workspace, options.json)


def show_run(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show

    show.show_run(workspace, options.run)


def log(workspace: Workspace, options: argparse.Namespace) -> None:
    run = _lab(workspace).runs[options.run]
    print(run.log or f"no log yet: {options.run} is {run.status}")


def routing(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show

    run = _lab(workspace).runs[options.run]
    table = run.routing() if options.by_group else run.routing_measures()
    if not options.json:
        show.say(run.routing_meaning())
    show.show_table(table, options.json, f"no routing yet: {options.run} is {run.status}")


def compare_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show_beside
    from fairlab.compare.paired_runs import FROM_BASELINE

    both = _lab(workspace).runs.compare(options.runs)
    differences = both.differences(at_fmr=options.at_fmr) if both.lists else FROM_BASELINE.build()
    if options.json:
        print(show_beside.as_json(both, differences))
    else:
        show_beside.show_beside(both, differences)


def wait(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli import show

    return 0 if show.watch(workspace, options.runs) else 1


def stop_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    for run_id in options.runs:
        _lab(workspace).runs[run_id].stop(options.force)


def resume_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    for run_id in options.runs:
        _lab(workspace).runs[run_id].resume(options.other_data, where(options))


def clone_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    for run_id in options.runs:
        run, new = _lab(workspace).runs[run_id].clone(dials(options), where(options))
        print(
            f"{run.run_id} is queued"
            if new
            else f"the same settings are the same run: {run.run_id}, nothing was started"
        )


def delete_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.cli import show

    lab = _lab(workspace)
    if options.dry_run:
        show.show_goes([lab.runs[run_id].what_goes() for run_id in options.runs], options.json)
        return
    for run_id in options.runs:
        lab.runs[run_id].delete(options.force)


def _ordered(name: str) -> Callable[[Workspace, argparse.Namespace], None]:
    def change(workspace: Workspace, options: argparse.Namespace) -> None:
        getattr(_lab(workspace).runs, name)(options.runs)

    return change


def place_runs(workspace: Workspace, options: argparse.Namespace) -> None:
    if not where(options):
        raise FairLabError("say where: --engine, --devices or --on")
    _lab(workspace).runs.place(options.runs, where(options))


def watch(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.watch import overview

    with contextlib.suppress(KeyboardInterrupt):  # the way to leave
        overview(workspace, options.name, options.once, options.json)
    return 0


def work(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.jobs.worker import leave, work

    code = work(workspace, options.run)
    leave(code)
    return code
