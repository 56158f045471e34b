"""The command `fairlab`: what the pages do, from a terminal. A wrong call ends with one sentence and a code > 0."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from fairlab import __version__
from fairlab.cli import streams
from fairlab.cli.grammar import Parser, no_such
from fairlab.errors import FairLabError
from fairlab.files import sentence_of
from fairlab.workspace import default_home, open_workspace

VERBS = {
    "demo": ("studies", "start the demo study and watch it"),
    "launch": ("studies", "start a study from a preset"),
    "watch": ("runs", "see what works and waits, renewed every second"),
    "compare": ("studies", "a study as a table: accuracy per group, STD, SER, paired differences"),
    "evaluate": ("models", "evaluate a model on the pairs of a data set"),
    "report": ("report", "a report of models on one list of pairs, as HTML, Markdown or JSON"),
    "repair": ("repair", "repair a model's scores for fairness, without training"),
    "fairness": ("fairness", "rates per group and fairness metrics of a run, or of a table of scored pairs"),
    "app": ("system", "open the app in a browser"),
    "link": ("system", "print the link that opens the app that is running"),
    "doctor": ("system", "versions, devices, workspace health"),
}
NOUNS = {
    "data": ("data", "data sets: list, show, add, make, overlap, find, move, pairs, shares, traits, delete, keep"),
    "models": ("models", "models: list, add, embed, project, scores"),
    "studies": ("studies", "studies: list, stop, resume, delete"),
    "runs": ("runs", "runs and their queue: list, queue, show, log, wait, stop, resume, clone, delete ..."),
    "storage": ("storage", "the disk: usage, prune, archive, import, forget"),
    "settings": ("settings", "settings: show, config, loggers, completion"),
}
HIDDEN = {"work": ("runs", ""), "probe": ("system", "")}
"""What FairLab starts itself."""
COMMANDS = {**VERBS, **NOUNS, **HIDDEN}
"""Name -> (module of fairlab.cli that has its parser, what it does). Only the module of the command asked for is imported."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    os.umask(0o077)  # faces, templates and scores are their owner's alone, also where FairLab's folder is not
    code, sentence = 0, ""
    try:
        streams.begin()
        code = _carried_out(sys.argv[1:] if words is None else list(words))
    except FairLabError as error:
        code, sentence = 2, str(error)
    except SystemExit as done:  # --help, --version
        code = int(done.code or 0)
    except KeyboardInterrupt:
        code, sentence = 130, "interrupted; started runs continue (see `fairlab runs list`)"
    except BrokenPipeError:
        code = 0  # who reads has seen enough
    except streams.OutputError as error:
        code, sentence = 2, error.sentence
    except OSError as error:  # of the system, where nobody knew more to say about it
        code, sentence = 2, sentence_of(error)
    trouble = streams.end()
    for text in filter(None, (sentence, trouble)):
        with contextlib.suppress(OSError, ValueError):
            print(f"fairlab: {text}", file=sys.stderr, flush=True)
    return code or (1 if trouble else 0)


def _carried_out(words: Sequence[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(
            parser_for(shlex.split(os.environ.get("COMP_LINE", ""))[1:]), always_complete_options=False
        )
    asked = _command_in(words)
    if asked and asked not in COMMANDS:
        raise FairLabError(no_such("command", asked, COMMANDS.keys() - HIDDEN.keys(), "see `fairlab --help`"))
    parser = parser_for(words)
    options, left = parser.parse_known_args(words)
    if left:
        options.parser.refuse(left)
    if options.home:
        os.environ["FAIRLAB_HOME"] = options.home
    workspace = open_workspace(options.home)
    if not options.silent:
        from fairlab.storage.hidden import of_commands

        for sentence in of_commands(workspace):  # no list is short of something in silence
            print(f"fairlab: {sentence}", file=sys.stderr)
    return int(options.do(workspace, options) or 0)


def parser_for(words: Sequence[str]) -> Parser:
    """The parser of all commands, with the options of the one that these words ask for."""
    parser = Parser(
        prog="fairlab",
        description="A lab for fair face recognition by knowledge distillation.",
        epilog="`fairlab COMMAND --help` lists options; `fairlab settings show launch` lists every setting of a study.",
    )
    parser.add_argument("--home", help=f"workspace folder (default: FAIRLAB_HOME or {default_home()})")
    parser.add_argument("--version", action="version", version=f"fairlab {__version__}")
    parser.set_defaults(parser=parser, silent=False)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser, title="commands"
    )
    asked = _command_in(words)
    for name, (module, sentence) in COMMANDS.items():
        about: dict[str, Any] = (
            {"help": sentence, "description": f"{sentence[0].upper()}{sentence[1:]}."} if sentence else {}
        )
        inner = commands.add_parser(name, **about)
        inner.set_defaults(parser=inner, silent=False)
        if name == asked:
            import_module(f"fairlab.cli.{module}").COMMANDS[name](inner)
    return parser


def _command_in(words: Sequence[str]) -> str:
    """The first word that is no option and no option's value."""
    rest = iter(words)
    for word in rest:
        if word == "--home":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""
