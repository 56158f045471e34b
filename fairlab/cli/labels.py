"""`fairlab runs tag`, `note`, `star`, and the same of studies: what a person says of them."""

from __future__ import annotations

import argparse
from typing import Any, Literal

from fairlab.cli.grammar import Noun, Parser, run_argument, study_argument
from fairlab.errors import FairLabError
from fairlab.workspace import Workspace

Kind = Literal["runs", "studies"]


def label_commands(noun: Noun, kind: Kind) -> None:
    """Add tag, note and star to the commands of runs or studies."""
    argument = run_argument if kind == "runs" else study_argument
    one = "run" if kind == "runs" else "study"
    tag = noun.add("tag", f"tags of a {one}: shown, given, or taken away", _tag)
    argument(tag, "name", f"{one} id")
    tag.add_argument("tags", nargs="*", metavar="TAG", help="1 to 40 letters without a comma (default: only show them)")
    tag.add_argument("--remove", action="store_true", help="take these tags away instead")
    note = noun.add("note", f"the note of a {one}: shown, written, or deleted", _note)
    argument(note, "name", f"{one} id")
    note.add_argument("text", nargs="?", help="the note, instead of the one that is there (default: only show it)")
    note.add_argument("--delete", action="store_true", help="delete the note")
    star = noun.add("star", f"give {kind} a star", _star)
    argument(star, "names", f"{one} ids", "+")
    star.add_argument("--off", action="store_true", help="take it away instead")
    for parser in (tag, note, star):
        parser.set_defaults(kind=kind, silent=True)


def find_options(parser: Parser) -> None:
    """--search, --tag and --starred of a list."""
    parser.add_argument(
        "--search", metavar="WORDS", default="", help="only those whose title, id, tags or note hold them"
    )
    parser.add_argument(
        "--tag", metavar="TAG", action="append", default=[], help="only those with this tag; several: all"
    )
    parser.add_argument("--starred", action="store_true", help="only those with a star")


def _handle(workspace: Workspace, kind: Kind, name: str) -> Any:
    from fairlab.api import Lab

    lab = Lab(workspace)
    return lab.runs[name] if kind == "runs" else lab.studies[name]


def _tag(workspace: Workspace, options: argparse.Namespace) -> None:
    if options.remove and not options.tags:
        raise FairLabError("name the tags to take away")
    handle = _handle(workspace, options.kind, options.name)
    if options.tags:
        tags = handle.untag(*options.tags) if options.remove else handle.tag(*options.tags)
    else:
        tags = handle.tags
    print(", ".join(tags) or "no tags")


def _note(workspace: Workspace, options: argparse.Namespace) -> None:
    if options.delete and options.text is not None:
        raise FairLabError("give a note or --delete, not both")
    handle = _handle(workspace, options.kind, options.name)
    if options.delete or options.text is not None:
        handle.note = options.text or ""
    print(handle.note or "no note")


def _star(workspace: Workspace, options: argparse.Namespace) -> None:
    for name in options.names:
        _handle(workspace, options.kind, name).star = not options.off
