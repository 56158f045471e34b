"""What each command of the command line does, once its arguments are read."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairlab.cli import runs
from fairlab.errors import FairLabError
from fairlab.files import not_there, read_json
from fairlab.presets import load_preset, preset_names
from fairlab.reading.structured import value_of
from fairlab.settings.placement import PERSONAL
from fairlab.settings.study import Evaluation, ModelFile, Projection, Protocols, Source, Study, parse
from fairlab.store.runs import read_run, read_status
from fairlab.workspace import Workspace


def dials(options: argparse.Namespace) -> dict[str, Any]:
    """The --set and --seeds of a call as dotted settings; values are JSON where they parse as such."""
    found = _settings(options.set, "--set", "student.training.epochs=5")
    if getattr(options, "seeds", None):
        found["seeds"] = options.seeds
    return found


def where(options: argparse.Namespace) -> dict[str, Any]:
    """The --engine, --devices and --on of a call as dotted settings of a placement."""
    asked = {"engine": options.engine, "devices": options.devices}
    given = _settings(options.on, "--on", "slurm.partition=gpu")
    if named := [name for name in given if name in {f"slurm.{name}" for name in PERSONAL}]:
        raise FairLabError(f"{named[0]} is kept in your own configuration: `fairlab config --set {named[0]}=...`")
    return {**given, **{name: value for name, value in asked.items() if value is not None}}


def _settings(given: Sequence[str], option: str, example: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise FairLabError(f"{option} {item}: write SETTING=VALUE, e.g. {example}")
        found[name] = value_of(text)
    return found


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
    placement = runs.placement_of(workspace, where(options))
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


def do_data(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli import data, show, show_data

    if options.dataset in data.ACTIONS:
        return data.ACTIONS[options.dataset](workspace, options, dials(options))
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
    from fairlab import api
    from fairlab.jobs.data.adding import dry_run, write_pictures

    source = parse(Source, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        found, listing = dry_run(source, show.progress_line())
        show.show_report(found, options.json)
        if options.pictures:
            folder = Path(options.pictures).expanduser().absolute()
            names = write_pictures(folder, source, found, listing)
            show.say_pictures(folder, names, list(found["groups"]))
        return 0
    run_id = api.add_data(workspace, source, options.name)
    with show.results_only(options.json):
        code = _watch_one(workspace, run_id)
    if code == 0:
        show.show_report(read_json(workspace.run(run_id) / "report.json"), options.json)
    return code


def do_runs(workspace: Workspace, options: argparse.Namespace) -> int:
    return runs.do_runs(workspace, options, dials(options), where(options))


def do_watch(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.watch import overview

    with contextlib.suppress(KeyboardInterrupt):  # the way to leave
        overview(workspace, options.name, options.once, options.json)
    return 0


def do_loggers(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.jobs.loggers.base import set_loggers, settings_of
    from fairlab.settings.loggers import Loggers

    settings = settings_of(workspace)
    if options.set:
        settings = parse(Loggers, {**settings.model_dump(), **dials(options)}, "--set")
        set_loggers(workspace, settings)
    for name, value in settings.model_dump(mode="json").items():
        print(f"{name} = {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def do_work(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.jobs.worker import leave, work

    code = work(workspace, options.run)
    leave(code)
    return code


def _watch_one(workspace: Workspace, run_id: str) -> int:
    from fairlab.cli import show

    return 0 if show.watch(workspace, [run_id]) else 1


def do_embed(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api

    placement = runs.placement_of(workspace, where(options))
    return _watch_one(workspace, api.embed(workspace, options.run, options.dataset, placement))


def do_models(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api
    from fairlab.cli import show, show_models

    if options.action == "list":
        if options.path or options.dry_run or options.name or options.set:
            raise FairLabError("these options belong to `fairlab models add FILE`")
        show_models.show_models(workspace, options.json)
        return 0
    if not options.path:
        raise FairLabError("name the file of the model: `fairlab models add FILE`")
    source = parse(ModelFile, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        from fairlab.jobs.models.importing import report_of

        show_models.show_model_report(report_of(source, show.progress_line("rounds")), options.json)
        return 0
    runs = api.add_model(workspace, source, options.name)
    with show.results_only(options.json):
        done = show.watch(workspace, [*read_run(workspace, runs[0]).parents, *runs])
    if not done:
        return 1
    report = read_json(workspace.run(runs[0]) / "report.json")
    show_models.show_model_report({"run_id": runs[0], "runs": runs, **report}, options.json)
    return 0


def do_scores(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api

    names = options.run
    dataset = options.data or read_run(workspace, names[0]).dataset
    path = not_there(Path(options.out).expanduser().absolute(), options.overwrite)
    api.export_scores(workspace, names, dataset, path, options.format, options.pairs, options.overwrite)
    print(f"scores of {len(names)} models on {dataset} ({options.pairs} pairs) are in {path}")
    return 0


def do_evaluate(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api
    from fairlab.cli import show

    asked = dials(options)
    more = {name.removeprefix("protocols."): value for name, value in asked.items() if name.startswith("protocols.")}
    own = {name: value for name, value in asked.items() if not name.startswith("protocols.")}
    if more and not options.protocol:
        raise FairLabError("settings of protocols belong to a protocol: give --protocol NAME too")
    settings = parse(Evaluation, own, "--set") if own else None
    protocols = parse(Protocols, {**more, "names": options.protocol}, "--set") if options.protocol else ()
    placement = runs.placement_of(workspace, where(options))
    job = api.evaluate(workspace, options.run, options.dataset, settings, options.gallery, protocols, placement)
    with show.results_only(options.json):
        code = _watch_one(workspace, job)
    if code == 0:
        for note in read_status(workspace.run(job)).get("notes", ()):
            print(f"fairlab: {note}", file=sys.stderr)
        judged = job if options.gallery else options.run  # against a gallery the numbers are the job's
        show.show_metrics(workspace, judged, read_run(workspace, job).dataset, options.json, options.protocol)
    return code


def do_project(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api

    job = api.project(workspace, options.run, parse(Projection, dials(options), "--set"), options.data)
    code = _watch_one(workspace, job)
    for note in read_status(workspace.run(job)).get("notes", ()) if code == 0 else ():
        print(f"fairlab: {note}", file=sys.stderr)
    return code


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


def do_doctor(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.storage.doctor import examine, show

    findings = examine(workspace, rebuild=options.rebuild, verify=options.verify)
    if options.json:
        print(json.dumps(findings, indent=1))
    else:
        show(findings)
    return 1 if findings["problems"] else 0


def do_app(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.cli.app import serve

    return serve(workspace, options.port, browser=not options.no_browser)


def do_probe(workspace: Workspace, options: argparse.Namespace) -> None:
    from pathlib import Path

    from fairlab.plan.estimate import run_request

    run_request(workspace, Path(options.request))
