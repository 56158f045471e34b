"""The command `fairlab`: what the pages do, from a terminal. A wrong call ends with one sentence and a code > 0."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fairlab import __version__
from fairlab.cli import arguments, data, fairness, models, runs, storage, streams, studies, system
from fairlab.errors import FairLabError
from fairlab.files import sentence_of
from fairlab.presets import preset_names
from fairlab.registry import declared_facts
from fairlab.settings.listing import listed
from fairlab.settings.loggers import Loggers
from fairlab.settings.placement import Placement
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import (
    Evaluation,
    ModelFile,
    Overlap,
    Projection,
    Protocols,
    Recipe,
    Settings,
    Source,
    Study,
)
from fairlab.settings.user import UserSettings
from fairlab.workspace import Workspace, default_home, open_workspace


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    os.umask(0o077)  # faces, templates and scores are their owner's alone, also where FairLab's folder is not
    code, said = 0, ""
    try:
        streams.begin()
        code = _carried_out(words)
    except FairLabError as error:
        code, said = 2, str(error)
    except SystemExit as done:  # --help, --version, a wrong call
        code = int(done.code or 0)
    except KeyboardInterrupt:
        code, said = 130, "interrupted; started runs continue (see `fairlab runs`)"
    except BrokenPipeError:
        code = 0  # who reads has seen enough
    except streams.OutputError as error:
        code, said = 2, error.sentence
    except OSError as error:  # of the system, where nobody knew more to say about it
        code, said = 2, sentence_of(error)
    trouble = streams.end()
    for sentence in filter(None, (said, trouble)):
        with contextlib.suppress(OSError, ValueError):
            print(f"fairlab: {sentence}", file=sys.stderr, flush=True)
    return code or (1 if trouble else 0)


def _carried_out(words: Sequence[str] | None) -> int:
    options = _parser().parse_args(words)
    if options.home:
        os.environ["FAIRLAB_HOME"] = options.home
    workspace = open_workspace(options.home)
    if options.command not in SILENT:
        from fairlab.storage.hidden import of_commands

        for sentence in of_commands(workspace):  # no list is short of something in silence
            print(f"fairlab: {sentence}", file=sys.stderr)
    return int(options.do(workspace, options) or 0)


SILENT = ("demo", "work", "import", "forget", "doctor", "app", "link", "config", "loggers", "probe")
"""Commands that show nothing of runs, studies and data sets, or name themselves what cannot be read."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"fairlab: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fairlab", description="A lab for fair face recognition by knowledge distillation.")
    parser.add_argument("--home", help=f"workspace folder (default: FAIRLAB_HOME or {default_home()})")
    parser.add_argument("--version", action="version", version=f"fairlab {__version__}")
    groups = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    demo = _command(groups, "demo", "start the demo study and watch it", studies.do_demo)
    demo.add_argument("--quick", action="store_true", help="the short version (preset demo_quick)")
    _study_options(demo)

    of_data = _command(
        groups,
        "data",
        "list the data sets, show one, add your own, make one of others, check two for overlap, find one that is missing, say where one is now, "
        "draw pairs for one without, delete one, limit its age",
        data.do_data,
        epilog=f"add: {_settings_help(Source)}\n\nmake: {_settings_help(Recipe)}\n\noverlap: {_settings_help(Overlap)}\n\npairs: {_settings_help(DrawnPairs)}",
    )
    of_data.add_argument(
        "dataset",
        nargs="?",
        help="name of a data set, or: add PATH, make NAME, overlap TRAIN TEST, find NAME [PATH], move NAME PATH, pairs NAME, delete NAME, keep NAME",
    )
    of_data.add_argument(
        "path",
        nargs="?",
        help="add: file or folder with your data; make, find, move, pairs, delete, keep: name; overlap: training set",
    )
    of_data.add_argument("test", nargs="?", help="overlap: test set; find, move: where the images are now")
    of_data.add_argument(
        "--changed",
        action="store_true",
        help="move: accept images that have changed; this makes it a different data set",
    )
    of_data.add_argument(
        "--model",
        default="",
        help="overlap: run whose embeddings of both show the nearest faces; pairs: run that picks the impostors",
    )
    of_data.add_argument("--name", default="", help="with add: what to call the data set (default: from the path)")
    of_data.add_argument(
        "--dry-run",
        action="store_true",
        help="add, delete, pairs: only report what would be done",
    )
    of_data.add_argument("--force", action="store_true", help="delete: even if runs or data sets need it")
    of_data.add_argument(
        "--days", type=arguments.whole(0, 36_500), help="keep: age limit (see `fairlab forget --expired`); 0 lifts it"
    )
    of_data.add_argument(
        "--pictures", metavar="FOLDER", help="with add --dry-run: write faces, mean faces and alignment there"
    )
    of_data.add_argument("--json", action="store_true", help="print JSON")
    _set_option(of_data)

    launch = _command(
        groups,
        "launch",
        "start a study from a preset",
        studies.do_launch,
        epilog=_settings_help(Study) + "\n\n" + _settings_help(Placement, option="--on"),
    )
    launch.add_argument("preset", nargs="?", help=f"one of: {', '.join(preset_names())}")
    launch.add_argument("--clone", metavar="STUDY", help="start from the settings of an earlier study instead")
    launch.add_argument("--dry-run", action="store_true", help="show the plan, its time and disk, and start nothing")
    _study_options(launch)

    of_runs = _command(
        groups,
        "runs",
        "list runs, see and order the queue, stop, resume, clone, delete",
        runs.do_runs,
        epilog="actions:\n" + "\n".join(f"  {name:8} {text}" for name, text in runs.ACTIONS.items()),
    )
    of_runs.add_argument(
        "action", nargs="?", choices=list(runs.ACTIONS), metavar="ACTION", default="list", help="see below"
    )
    of_runs.add_argument("run", nargs="*", help="run ids")
    of_runs.add_argument(
        "--study", metavar="STUDY", default="", help="stop, resume, delete: a whole study; what is in others too stays"
    )
    of_runs.add_argument("--dry-run", action="store_true", help="delete: say what would go and what needs it")
    of_runs.add_argument(
        "--force", action="store_true", help="stop: end the process now; delete: even if others build on it"
    )
    of_runs.add_argument(
        "--other-data",
        action="store_true",
        help="resume: continue although the data set has changed since the run started; the run records it",
    )
    of_runs.add_argument("--json", action="store_true", help="print JSON")
    _placement_options(of_runs, "where, resume, clone: ")
    _set_option(of_runs, "clone: change a setting, e.g. training.epochs=5")

    watch = _command(
        groups,
        "watch",
        "see what works and waits, renewed every second; also starts what waits when its turn comes",
        runs.do_watch,
        epilog="Without names: whatever is queued or running, until Ctrl-C, which leaves the runs alone. With names: until "
        "all of them have ended.\nInto a file or another program: a line for each change.",
    )
    watch.add_argument("name", nargs="*", help="studies or run ids (default: all that are active)")
    watch.add_argument("--once", action="store_true", help="show the current state and return; nothing is started")
    watch.add_argument("--json", action="store_true", help="a JSON object a line: a run that is new or has changed")

    loggers = _command(
        groups,
        "loggers",
        "where readings also go, for runs that start from now on: TensorBoard files, an MLflow server",
        system.do_loggers,
        epilog=_settings_help(Loggers),
    )
    _set_option(loggers)

    work = _command(groups, "work", "carry out a queued run in this process (what an engine starts)", runs.do_work)
    work.add_argument("run", help="run id")

    of_models = _command(
        groups,
        "models",
        "list the models, or add one that was trained elsewhere",
        models.do_models,
        epilog=_settings_help(ModelFile),
    )
    of_models.add_argument("action", nargs="?", choices=["list", "add"], default="list")
    of_models.add_argument("path", nargs="?", help="with add: .pth, .pth.tar, .pt, .ckpt, .bin, .safetensors or .onnx")
    of_models.add_argument("--name", default="", help="with add: what to call it (default: the file's name)")
    of_models.add_argument(
        "--dry-run", action="store_true", help="with add: report what was understood, and add nothing"
    )
    of_models.add_argument("--json", action="store_true", help="print JSON")
    _set_option(of_models)

    scores = _command(groups, "scores", "write models' scores as a table that other tools read", models.do_scores)
    scores.add_argument("run", nargs="+", help="run ids of models that were evaluated on the same data set")
    scores.add_argument("--out", required=True, help="file to write (.csv)")
    scores.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    scores.add_argument("--format", choices=["bob", "bfw"], default="bob", help="bob: one model; bfw: any number")
    scores.add_argument("--data", default="", help="data set (default: the one trained on)")
    scores.add_argument("--pairs", choices=["test", "validation"], default="test", help="which pair list")

    embed = _command(groups, "embed", "embed a data set with a model, trained here or added", models.do_embed)
    embed.add_argument("run", help="run id of a model; `fairlab models` lists them")
    embed.add_argument("dataset", help="name of a data set")
    _placement_options(embed)

    evaluate = _command(
        groups,
        "evaluate",
        "evaluate a model, trained here or added, on the pairs of a data set",
        models.do_evaluate,
        epilog="\n".join(
            (
                _protocols_help(),
                "",
                _settings_help(Evaluation),
                *_setting_lines(Protocols, "protocols.", skip=("names",)),
            )
        ),
    )
    evaluate.add_argument("run", help="run id of a model; `fairlab models` lists them")
    evaluate.add_argument("dataset", nargs="?", default="", help="data set with pairs (default: the one trained on)")
    evaluate.add_argument(
        "--gallery", metavar="MODEL", default="", help="run id of the model that embeds the first image of each pair"
    )
    evaluate.add_argument(
        "--protocol",
        metavar="NAME",
        action="append",
        default=[],
        help="evaluate by this protocol instead of the data set's own pairs; may be given several times",
    )
    _placement_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    _set_option(evaluate)

    rates = _command(
        groups,
        "fairness",
        "rates per group and fairness metrics of a run, or of any table of scored pairs",
        fairness.do_fairness,
        epilog=fairness.COLUMNS,
    )
    fairness.options_of(rates)

    project = _command(
        groups,
        "project",
        "draw the maps (UMAP) of one or more spaces",
        models.do_project,
        epilog=_settings_help(Projection),
    )
    project.add_argument("run", nargs="+", help="run ids of models; the first common space is the reference")
    project.add_argument("--data", default="", help="data set that they have embedded (default: the one trained on)")
    _set_option(project)

    compare = _command(
        groups, "compare", "a study as a table: accuracy per group, STD, SER, paired differences", studies.do_compare
    )
    compare.add_argument("study", nargs="?", help="study id (default: the newest)")
    compare.add_argument("--data", default="", help="data set to compare on (default: the study's)")
    compare.add_argument(
        "--added", action="store_true", help="only the models added from files, on the data set of --data"
    )
    compare.add_argument("--pairs", default="test", help="pair list or protocol to compare by (default: test)")
    compare.add_argument("--baseline", help="title or run id to compare with (default: the student without KD)")
    compare.add_argument("--seed", type=arguments.seed, help="only the runs of this seed (default: the mean of all)")
    compare.add_argument(
        "--format", choices=["table", "csv", "latex", "markdown"], default="table", help="how to print it"
    )
    compare.add_argument("--json", action="store_true", help="print JSON")

    storage.options_of(_command, groups)

    doctor = _command(groups, "doctor", "versions, devices, workspace health", system.do_doctor)
    doctor.add_argument("--rebuild", action="store_true", help="rebuild the catalogue from the run folders")
    doctor.add_argument("--verify", action="store_true", help="check every finished run's files against their hashes")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    app = _command(groups, "app", "open the app in a browser", system.do_app)
    app.add_argument(
        "--port", type=arguments.whole(1, 65_535), default=8501, help="port on this machine (default 8501)"
    )
    app.add_argument("--no-browser", action="store_true", help="do not open a browser window")

    _command(groups, "link", "print the link that opens the app that is running", system.do_link)

    config = _command(
        groups,
        "config",
        "what only you decide, for this account: programs that FairLab starts, addresses the app answers at",
        system.do_config,
        epilog=_settings_help(UserSettings),
    )
    _set_option(config, 'change a setting, e.g. slurm.commands=\'["ssh", "login1"]\'')

    probe = _command(groups, "probe", argparse.SUPPRESS, system.do_probe)
    probe.add_argument("request", help="file written by the launch page")
    return parser


Do = Callable[[Workspace, argparse.Namespace], int | None]


def _command(groups: Any, name: str, help_: str, do: Do, epilog: str | None = None) -> argparse.ArgumentParser:
    description = None if help_ == argparse.SUPPRESS else help_[0].upper() + help_[1:] + "."
    options = {} if help_ == argparse.SUPPRESS else {"help": help_}
    parser: argparse.ArgumentParser = groups.add_parser(
        name, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )
    parser.set_defaults(do=do)
    return parser


def _study_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=arguments.seed, nargs="+", help="repeat the study with these seeds")
    parser.add_argument("--no-wait", action="store_true", help="return at once; the runs continue in the background")
    _placement_options(parser)
    _set_option(parser)


def _placement_options(parser: argparse.ArgumentParser, verbs: str = "") -> None:
    known = declared_facts("ENGINES", "queue/engines")
    sentences = "; ".join(f"{name}: {facts.get('sentence', '')}" for name, facts in known.items())
    parser.add_argument("--engine", help=f"{verbs}what carries the runs out ({sentences})")
    parser.add_argument(
        "--devices", type=arguments.whole(1, 10_000), help=f"{verbs}processes that share one run, one GPU each"
    )
    parser.add_argument(
        "--on",
        metavar="SETTING=VALUE",
        action="append",
        default=[],
        help=f"{verbs}change where runs work, e.g. slurm.partition=gpu; the default is on the Settings page",
    )


def _set_option(
    parser: argparse.ArgumentParser, help_: str = "change a setting, e.g. student.training.epochs=5"
) -> None:
    parser.add_argument(
        "--set",
        metavar="SETTING=VALUE",
        action="append",
        default=[],
        help=help_,
    )


def _protocols_help() -> str:
    """All protocols with what they are."""
    known = declared_facts("PROTOCOLS", "jobs/protocols")
    return "protocols:\n" + "\n".join(f"  {name}\n      {facts['sentence']}" for name, facts in known.items())


def _settings_help(kind: type[Settings], prefix: str = "", option: str = "--set") -> str:
    """All settings of `kind` with their sentences, as the forms show them."""
    return f"settings for {option}:\n" + "\n".join(_setting_lines(kind, prefix))


def _setting_lines(kind: type[Settings], prefix: str, skip: Sequence[str] = ()) -> list[str]:
    return [f"  {dotted}  [{default}]\n      {sentence}" for dotted, default, sentence in listed(kind, prefix, skip)]
