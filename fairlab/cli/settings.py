"""`fairlab settings`: every setting with its sentence, what the user alone decides, where readings go, and shell completion."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from fairlab.cli.arguments import dials
from fairlab.cli.fairness import COLUMNS
from fairlab.cli.grammar import Noun, Parser, json_option, set_option
from fairlab.registry import declared_facts
from fairlab.settings.data import StudyFolder
from fairlab.settings.listing import listed
from fairlab.settings.loggers import Loggers
from fairlab.settings.placement import Placement
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.repair import AllRepairs
from fairlab.settings.study import (
    Evaluation,
    ModelFile,
    Moved,
    Overlap,
    Projection,
    Protocols,
    Recipe,
    Settings,
    Source,
    Study,
    parse,
)
from fairlab.settings.user import UserSettings, config_file, set_user_settings, user_settings
from fairlab.workspace import Workspace

KINDS: dict[str, type[Settings]] = {
    "launch": Study,
    "evaluate": Evaluation,
    "placement": Placement,
    "data.add": Source,
    "data.make": Recipe,
    "data.overlap": Overlap,
    "data.pairs": DrawnPairs,
    "models.add": ModelFile,
    "repair": AllRepairs,
    "models.project": Projection,
    "models.moved": Moved,
    "studies.import": StudyFolder,
    "config": UserSettings,
    "loggers": Loggers,
}
"""What `fairlab settings show` explains: the settings of a command, or of --on (placement)."""
TEXTS = ("protocols", "table")
"""What else it explains: the protocols of `evaluate`, and the columns of a table of scores."""


def settings_commands(parser: Parser) -> None:
    noun = Noun(parser)
    one = noun.add("show", "every setting of a command, with its default and its sentence", show, silent=True)
    one.add_argument("name", choices=[*KINDS, *TEXTS], metavar="NAME", help=", ".join([*KINDS, *TEXTS]))
    json_option(one)
    own = noun.add(
        "config",
        "what only you decide, for this account: programs to start, addresses to answer at",
        config,
        silent=True,
    )
    set_option(own, 'change a setting, e.g. slurm.commands=\'["ssh", "login1"]\' (`fairlab settings show config`)')
    logs = noun.add(
        "loggers", "where readings of runs to come also go: TensorBoard files, MLflow", loggers, silent=True
    )
    set_option(logs, "change a setting (`fairlab settings show loggers`)")
    shell = noun.add("completion", "print what makes a shell complete commands and names", completion, silent=True)
    shell.add_argument("shell", nargs="?", choices=["bash", "zsh", "fish"], default="bash", help="default: bash")
    shell.epilog = 'For bash, add to ~/.bashrc: eval "$(fairlab settings completion bash)"'


COMMANDS = {"settings": settings_commands}


def show(_workspace: Workspace, options: argparse.Namespace) -> None:
    if options.name == "table":
        print(COLUMNS)
        return
    if options.name == "protocols":
        known = declared_facts("PROTOCOLS", "jobs/protocols")
        rows = [(name, "", str(facts["sentence"])) for name, facts in known.items()]
        rows += _rows(Protocols, "protocols.", skip=("names",))
    else:
        rows = [
            (name.removeprefix("repair."), default, sentence) for name, default, sentence in _rows(KINDS[options.name])
        ]
    if options.json:
        print(json.dumps([dict(zip(("setting", "default", "meaning"), row, strict=True)) for row in rows], indent=1))
        return
    for name, default, sentence in rows:
        print(f"{name}{f'  [{default}]' if default else ''}\n    {sentence}")


def _rows(kind: type[Settings], prefix: str = "", skip: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    return [(name, str(default), sentence) for name, default, sentence in listed(kind, prefix, skip)]


def config(_workspace: Workspace, options: argparse.Namespace) -> None:
    if options.set:
        set_user_settings(dials(options))
    for table, values in user_settings().model_dump(mode="json").items():
        for name, value in values.items():
            print(f"{table}.{name} = {value if isinstance(value, str) else json.dumps(value)}")
    print(f"kept in {config_file()}; an app that runs takes changes up when it starts again")


def loggers(workspace: Workspace, options: argparse.Namespace) -> None:
    from fairlab.jobs.loggers.base import set_loggers, settings_of

    settings = settings_of(workspace)
    if options.set:
        settings = parse(Loggers, {**settings.model_dump(), **dials(options)}, "--set")
        set_loggers(workspace, settings)
    for name, value in settings.model_dump(mode="json").items():
        print(f"{name} = {value if isinstance(value, str) else json.dumps(value)}")


def completion(_workspace: Workspace, options: argparse.Namespace) -> None:
    import argcomplete

    print(argcomplete.shellcode(["fairlab"], shell=options.shell))
