"""`fairlab demo`, `launch`, `compare`: studies planned, started, and shown as a table."""

from __future__ import annotations

import argparse

from fairlab.cli.arguments import dials, where
from fairlab.errors import FairLabError
from fairlab.presets import load_preset, preset_names
from fairlab.settings.study import Study
from fairlab.workspace import Workspace


def do_demo(workspace: Workspace, options: argparse.Namespace) -> int:
    return _launch(workspace, "demo_quick" if options.quick else "demo_mst_kd", None, options)


def do_launch(workspace: Workspace, options: argparse.Namespace) -> int:
    if bool(options.preset) == bool(options.clone):
        raise FairLabError(f"name a preset ({', '.join(preset_names())}) or give --clone STUDY")
    from fairlab.store.studies import read_study

    earlier = read_study(workspace, options.clone) if options.clone else None
    preset = earlier.preset if earlier else options.preset
    return _launch(workspace, preset, earlier.config if earlier else None, options)


def _launch(workspace: Workspace, preset: str, study: Study | None, options: argparse.Namespace) -> int:
    from fairlab.cli import show, show_compare
    from fairlab.compare.compare import compare
    from fairlab.plan import estimate
    from fairlab.plan.grid import expand
    from fairlab.queue import launch
    from fairlab.settings.study import changed

    plan = expand(changed(study or load_preset(preset), dials(options)), preset, workspace)
    placement = launch.placement_of(workspace, where(options))
    if getattr(options, "dry_run", False):
        if estimate.estimate(workspace, plan) is None:
            estimate.measure(workspace, plan, show.say)
        show.show_plan(workspace, plan)
        return 0
    estimate.check_disk(workspace, plan)
    queued = launch.start(workspace, plan, placement)
    print(
        f"study {plan.study_id}: {len(plan.runs)} runs, {len(queued)} queued, {len(plan.runs) - len(plan.new)} done before"
    )
    if options.no_wait:
        return 0
    names = [run.record.run_id for run in plan.runs]
    if not show.watch(workspace, names):
        return 1
    show_compare.show_comparison(workspace, compare(workspace, plan.study_id), plan.study_id)
    return 0


def do_compare(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.store.studies import studies

    known = studies(workspace)
    if options.added and options.study:
        raise FairLabError("--added compares the models added from files alone; name either a study or --added")
    if options.added and not options.data:
        raise FairLabError("--added needs --data: the data set to compare the added models on")
    if not (options.added or options.study) and known.empty:
        raise FairLabError("there is no study yet; start one with `fairlab demo`")
    study = "" if options.added else options.study or known.iloc[0]["study_id"]
    return _compare(workspace, study, options)


def _compare(workspace: Workspace, study: str, options: argparse.Namespace) -> int:
    from fairlab.cli import show, show_compare
    from fairlab.compare.compare import compare, default_dataset
    from fairlab.compare.exports import caption, exported
    from fairlab.compare.next_steps import without_numbers
    from fairlab.tables import rows_as_json

    table = compare(workspace, study, options.baseline, options.pairs, options.data, options.seed)
    if options.format == "table" and not options.json:
        show_compare.show_comparison(workspace, table, study, options.data, options.pairs)
        return 0
    data = options.data or default_dataset(workspace, study)
    if len(table):
        show.say_caveats(workspace, table["run_id"].tolist(), data)
    if options.json:
        print(rows_as_json(table))
    elif table.empty:
        raise FairLabError(without_numbers(workspace, study, options.data, options.pairs))
    else:
        print(exported(table, options.format, caption(table, data, options.pairs)), end="")
    return 0
