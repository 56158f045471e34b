"""The grammar of the command line: nouns with commands of their own, options that several share, and errors with the nearest choice."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from fairlab.cli import arguments
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace, default_home

Do = Callable[[Workspace, argparse.Namespace], int | None]
"""Carries out a command; returns the exit code, None for 0."""


class Parser(argparse.ArgumentParser):
    """A parser whose faults are one sentence, with the nearest valid choice."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"argument (.+?): invalid choice: '(.*?)' \(choose from (.*)\)", message, re.S)
        if wrong:
            what, word, choices = wrong.groups()
            names = re.findall(r"[\w.-]+", choices)
            kind = "command" if what == "COMMAND" else f"choice for {what}:"
            raise FairLabError(no_such(kind, word, names, f"see `{self.prog} --help`"))
        raise FairLabError(f"{message}; see `{self.prog} --help`")

    def refuse(self, words: Iterable[str]) -> NoReturn:
        """Say of words that are left over that there is no such option, or what is one too many."""
        word = next(iter(words))
        if not word.startswith("-"):
            raise FairLabError(f"{word!r} is one word too many; see `{self.prog} --help`")
        known = [name for action in self._actions for name in action.option_strings]
        raise FairLabError(no_such("option", word.partition("=")[0], known, f"see `{self.prog} --help`"))


def no_such(kind: str, word: str, names: Iterable[str], otherwise: str) -> str:
    """A sentence on a word that is none of these names, with the nearest of them."""
    near = difflib.get_close_matches(word, list(names), 1, 0.6)
    return f"there is no {kind} {word[:40]!r}; " + (f"did you mean {near[0]!r}?" if near else otherwise)


class Noun:
    """The commands of a noun, e.g. of `fairlab data list`; without one of them its help is printed."""

    def __init__(self, parser: Parser) -> None:
        self._commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)

        def show_help(_workspace: Workspace, _options: argparse.Namespace) -> None:
            print(parser.format_help(), end="")

        parser.set_defaults(do=show_help, parser=parser, silent=True)

    def add(self, name: str, sentence: str, do: Do, epilog: str = "", silent: bool = False) -> Parser:
        """The parser of a further command. silent: it shows no list, so it says nothing of what is left out of lists."""
        parser: Parser = self._commands.add_parser(
            name, help=sentence, description=f"{sentence[0].upper()}{sentence[1:]}.", epilog=epilog
        )
        parser.set_defaults(do=do, parser=parser, silent=silent)
        return parser


def json_option(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def set_option(parser: argparse.ArgumentParser, help_: str) -> None:
    """--set SETTING=VALUE; options.set is a list of them."""
    parser.add_argument("--set", metavar="SETTING=VALUE", action="append", default=[], help=help_)


def placement_options(parser: argparse.ArgumentParser) -> None:
    """--engine, --devices and --on; arguments.where() reads them."""
    parser.add_argument("--engine", help="what carries the runs out: local or slurm")
    parser.add_argument("--devices", type=arguments.whole(1, 10_000), help="processes that share one run, one GPU each")
    parser.add_argument(
        "--on",
        metavar="SETTING=VALUE",
        action="append",
        default=[],
        help="change where runs work, e.g. slurm.partition=gpu (`fairlab settings show placement`)",
    )


def run_argument(parser: argparse.ArgumentParser, name: str = "run", help_: str = "run id", nargs: Any = None) -> None:
    """A run id, or several; the shell completes them."""
    _completed(parser.add_argument(name, help=help_, nargs=nargs), "runs", "run.json")


def data_argument(
    parser: argparse.ArgumentParser, name: str = "name", help_: str = "data set", nargs: Any = None, default: Any = None
) -> None:
    """The name of a data set; the shell completes it."""
    _completed(parser.add_argument(name, help=help_, nargs=nargs, default=default), "datasets", "dataset.json")


def study_argument(
    parser: argparse.ArgumentParser, name: str = "study", help_: str = "study", nargs: Any = None
) -> None:
    """A study id; the shell completes it."""
    _completed(parser.add_argument(name, help=help_, nargs=nargs), "studies", "study.json")


def _completed(action: argparse.Action, folder: str, file: str) -> None:
    """Names of the workspace's folders for argcomplete; nothing is imported or opened for it."""

    def names(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        home = Path(getattr(parsed_args, "home", None) or default_home()).expanduser()
        return sorted(path.parent.name for path in home.glob(f"{folder}/*/{file}"))

    action.completer = names  # type: ignore[attr-defined]
