"""The command `fairlab`: what the pages do, from a terminal. A wrong call ends with one sentence and a code > 0."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fairlab import __version__
from fairlab.config import Evaluation, Projection, Settings, Source, Study, parse
from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.presets import load_preset, preset_names
from fairlab.workspace import Workspace, default_home, open_workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.home:
            os.environ["FAIRLAB_HOME"] = options.home
        return int(options.do(open_workspace(options.home), options) or 0)
    except FairLabError as error:
        print(f"fairlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fairlab: interrupted; runs that were started go on (see `fairlab runs`)", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"fairlab: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fairlab", description="A lab for fair face recognition by knowledge distillation.")
    parser.add_argument("--home", help=f"workspace folder (default: FAIRLAB_HOME or {default_home()})")
    parser.add_argument("--version", action="version", version=f"fairlab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    demo = _command(commands, "demo", "start the demo study and watch it", _do_demo)
    demo.add_argument("--quick", action="store_true", help="the short version (preset demo_quick)")
    _study_options(demo)

    data = _command(
        commands, "data", "list the data sets, show one, or add your own", _do_data, epilog=_settings_help(Source)
    )
    data.add_argument("dataset", nargs="?", help="name of a data set, or: add PATH")
    data.add_argument("path", nargs="?", help="with add: file or folder with your data")
    data.add_argument("--name", default="", help="with add: what to call the data set (default: from the path)")
    data.add_argument("--dry-run", action="store_true", help="with add: report what was understood, and add nothing")
    data.add_argument(
        "--pictures", metavar="FOLDER", help="with add --dry-run: write faces, mean faces and alignment there"
    )
    data.add_argument("--json", action="store_true", help="print JSON")
    _set_option(data)

    launch = _command(commands, "launch", "start a study from a preset", _do_launch, epilog=_settings_help(Study))
    launch.add_argument("preset", nargs="?", help=f"one of: {', '.join(preset_names())}")
    launch.add_argument("--clone", metavar="STUDY", help="start from the settings of an earlier study instead")
    launch.add_argument("--dry-run", action="store_true", help="show the plan, its time and disk, and start nothing")
    _study_options(launch)

    runs = _command(commands, "runs", "list runs, or stop, resume, delete one", _do_runs)
    runs.add_argument(
        "action", nargs="?", choices=["list", "show", "log", "stop", "resume", "delete", "wait"], default="list"
    )
    runs.add_argument("run", nargs="*", help="run ids")
    runs.add_argument(
        "--force", action="store_true", help="stop: end the process now; delete: even if others build on it"
    )
    runs.add_argument("--json", action="store_true", help="print JSON")

    work = _command(commands, "work", "carry out a queued run in this process (what an engine starts)", _do_work)
    work.add_argument("run", help="run id")

    embed = _command(commands, "embed", "embed a data set with a trained run", _do_embed)
    embed.add_argument("run", help="run id of a trained network")
    embed.add_argument("dataset", help="name of a data set")

    evaluate = _command(
        commands,
        "evaluate",
        "score a run on its pairs again, with other settings",
        _do_evaluate,
        epilog=_settings_help(Evaluation),
    )
    evaluate.add_argument("run", help="run id")
    _set_option(evaluate)

    project = _command(
        commands,
        "project",
        "draw the maps (UMAP) of one or more spaces",
        _do_project,
        epilog=_settings_help(Projection),
    )
    project.add_argument("run", nargs="+", help="run ids of one data set; the first common space is the reference")
    _set_option(project)

    compare = _command(
        commands, "compare", "a study as a table: accuracy per group, STD, SER, paired differences", _do_compare
    )
    compare.add_argument("study", nargs="?", help="study id (default: the newest)")
    compare.add_argument("--baseline", help="run id to compare with (default: the student without KD)")
    compare.add_argument("--csv", action="store_true", help="print CSV")
    compare.add_argument("--json", action="store_true", help="print JSON")

    doctor = _command(commands, "doctor", "versions, devices, workspace health", _do_doctor)
    doctor.add_argument("--rebuild", action="store_true", help="make the catalogue again from the run folders")
    doctor.add_argument("--verify", action="store_true", help="check every finished run's files against their hashes")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    app = _command(commands, "app", "open the app in a browser", _do_app)
    app.add_argument("--port", type=int, default=8501, help="port on this machine (default 8501)")
    app.add_argument("--no-browser", action="store_true", help="do not open a browser window")

    probe = _command(commands, "probe", argparse.SUPPRESS, _do_probe)
    probe.add_argument("request", help="file written by the launch page")
    return parser


Do = Callable[[Workspace, argparse.Namespace], int | None]


def _command(commands: Any, name: str, help_: str, do: Do, epilog: str | None = None) -> argparse.ArgumentParser:
    description = None if help_ == argparse.SUPPRESS else help_[0].upper() + help_[1:] + "."
    options = {} if help_ == argparse.SUPPRESS else {"help": help_}
    parser: argparse.ArgumentParser = commands.add_parser(
        name, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )
    parser.set_defaults(do=do)
    return parser


def _study_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", help="repeat the study with these seeds")
    parser.add_argument("--no-wait", action="store_true", help="return at once; the runs go on by themselves")
    _set_option(parser)


def _set_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        metavar="SETTING=VALUE",
        action="append",
        default=[],
        help="change a setting, e.g. student.training.epochs=5",
    )


def _settings_help(kind: type[Settings], prefix: str = "") -> str:
    """All settings of `kind` with their sentences, as the forms show them."""
    return "settings for --set:\n" + "\n".join(_setting_lines(kind, prefix))


def _setting_lines(kind: type[Settings], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, field in kind.model_fields.items():
        inner = [
            item for item in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(item, type)
        ]
        nested = next((item for item in inner if issubclass(item, Settings)), None)
        if nested is not None:
            lines += _setting_lines(nested, f"{prefix}{name}.")
        else:
            lines.append(f"  {prefix}{name}  [{field.get_default()}]\n      {field.description or ''}")
    return lines


def dials(options: argparse.Namespace) -> dict[str, Any]:
    """The --set and --seeds of a call as dotted settings; values are JSON where they parse as such."""
    found: dict[str, Any] = {}
    for item in options.set:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise FairLabError(f"--set {item}: write SETTING=VALUE, e.g. student.training.epochs=5")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    if getattr(options, "seeds", None):
        found["seeds"] = options.seeds
    return found


def _do_demo(workspace: Workspace, options: argparse.Namespace) -> int:
    return _launch(workspace, "demo_quick" if options.quick else "demo_mst_kd", None, options)


def _do_launch(workspace: Workspace, options: argparse.Namespace) -> int:
    if bool(options.preset) == bool(options.clone):
        raise FairLabError(f"name a preset ({', '.join(preset_names())}) or give --clone STUDY")
    from fairlab.runs.compare import read_study

    earlier = read_study(workspace, options.clone) if options.clone else None
    preset = earlier.preset if earlier else options.preset
    return _launch(workspace, preset, earlier.config if earlier else None, options)


def _launch(workspace: Workspace, preset: str, study: Study | None, options: argparse.Namespace) -> int:
    from fairlab import terminal
    from fairlab.config import changed
    from fairlab.runs import estimate, launch
    from fairlab.runs.plan import expand

    plan = expand(changed(study or load_preset(preset), dials(options)), preset, workspace)
    if getattr(options, "dry_run", False):
        if estimate.estimate(workspace, plan) is None:
            estimate.measure(workspace, plan, terminal.say)
        terminal.show_plan(workspace, plan)
        return 0
    estimate.check_disk(workspace, plan)
    queued = launch.start(workspace, plan)
    print(
        f"study {plan.study_id}: {len(plan.runs)} runs, {len(queued)} queued, {len(plan.runs) - len(plan.new)} done before"
    )
    if options.no_wait:
        return 0
    names = [run.record.run_id for run in plan.runs]
    if not terminal.watch(workspace, names):
        return 1
    terminal.show_comparison(workspace, plan.study_id, None)
    return 0


def _do_data(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import terminal

    if options.dataset != "add":
        if options.path or options.dry_run or options.name or options.set or options.pictures:
            raise FairLabError("these options belong to `fairlab data add PATH`")
        terminal.show_data(workspace, options.dataset, options.json)
        return 0
    if not options.path:
        raise FairLabError("name the file or folder to add: `fairlab data add PATH`")
    if options.pictures and not options.dry_run:
        raise FairLabError("--pictures belongs to a look at data: `fairlab data add PATH --dry-run --pictures FOLDER`")
    from fairlab import api
    from fairlab.runs.adding import dry_run, write_pictures

    source = parse(Source, {**dials(options), "path": options.path}, "--set")
    if options.dry_run:
        found, listing = dry_run(source, terminal.progress_line())
        terminal.show_report(found, options.json)
        if options.pictures:
            folder = Path(options.pictures).expanduser().absolute()
            names = write_pictures(folder, source, found, listing)
            terminal.say_pictures(folder, names, list(found["groups"]))
        return 0
    run_id = api.add_data(workspace, source, options.name)
    code = _watch_one(workspace, run_id)
    if code == 0:
        terminal.show_report(read_json(workspace.run(run_id) / "report.json"), options.json)
    return code


def _do_runs(workspace: Workspace, options: argparse.Namespace) -> int | None:
    from fairlab import terminal
    from fairlab.runs import launch

    if options.action == "list":
        terminal.show_runs(workspace, options.json)
        return 0
    if not options.run:
        raise FairLabError(f"`fairlab runs {options.action}` needs a run id; `fairlab runs` lists them")
    if options.action == "wait":
        return 0 if terminal.watch(workspace, options.run) else 1
    for run_id in options.run:
        if options.action == "stop":
            launch.stop(workspace, run_id, options.force)
        elif options.action == "resume":
            launch.resume(workspace, run_id)
        elif options.action == "delete":
            launch.delete(workspace, run_id, options.force)
        else:
            terminal.show_run(workspace, run_id, options.action == "log")
    return 0


def _do_work(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.runs.worker import work

    return work(workspace, options.run)


def _watch_one(workspace: Workspace, run_id: str) -> int:
    from fairlab import terminal

    return 0 if terminal.watch(workspace, [run_id]) else 1


def _do_embed(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api

    return _watch_one(workspace, api.embed(workspace, options.run, options.dataset))


def _do_evaluate(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api, terminal

    code = _watch_one(workspace, api.evaluate(workspace, options.run, parse(Evaluation, dials(options), "--set")))
    if code == 0:
        terminal.show_metrics(workspace, options.run)
    return code


def _do_project(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import api

    return _watch_one(workspace, api.project(workspace, options.run, parse(Projection, dials(options), "--set")))


def _do_compare(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab import terminal
    from fairlab.runs.compare import compare, studies

    known = studies(workspace)
    if options.study is None and known.empty:
        raise FairLabError("there is no study yet; start one with `fairlab demo`")
    study = options.study or known.iloc[0]["study_id"]
    if options.csv or options.json:
        table = compare(workspace, study, options.baseline)
        print(table.to_csv(index=False) if options.csv else table.to_json(orient="records", indent=1))
    else:
        terminal.show_comparison(workspace, study, options.baseline)
    return 0


def _do_doctor(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.doctor import examine, show

    findings = examine(workspace, rebuild=options.rebuild, verify=options.verify)
    if options.json:
        print(json.dumps(findings, indent=1))
    else:
        show(findings)
    return 1 if findings["problems"] else 0


def _do_app(workspace: Workspace, options: argparse.Namespace) -> int:
    from fairlab.serve import serve

    return serve(workspace, options.port, browser=not options.no_browser)


def _do_probe(workspace: Workspace, options: argparse.Namespace) -> None:
    from pathlib import Path

    from fairlab.runs.estimate import run_request

    run_request(workspace, Path(options.request))
