"""The grammar of the command line: every level has a help of one screen, and shells complete it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlab.cli.main import COMMANDS, HIDDEN, NOUNS, parser_for
from fairlab.cli.settings import KINDS, TEXTS
from fairlab.workspace import Workspace
from tests.conftest import ROOT, command
from tests.data.trees import grouped

SCREEN = 40


def inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices) if groups else {}


def levels() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS.keys() - HIDDEN.keys():
        yield (name,)
        yield from ((name, sub) for sub in inner(inner(parser_for([name]))[name]))


@pytest.mark.parametrize("words", sorted(levels()), ids=" ".join)
def test_every_help_fits_a_screen(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = command(tmp_path / "home", *words, "--help")
    assert told.returncode == 0, told.stderr
    assert 3 <= len(told.stdout.splitlines()) <= SCREEN, told.stdout


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_alone_shows_its_commands(noun: str, lab: Workspace) -> None:
    told = command(lab.home, noun)
    assert (told.returncode, told.stderr) == (0, "")
    assert all(f"    {name}" in told.stdout for name in inner(inner(parser_for([noun]))[noun]))


@pytest.mark.parametrize("name", [*KINDS, *TEXTS])
def test_all_settings_can_be_read(name: str, lab: Workspace) -> None:
    told = command(lab.home, "settings", "show", name)
    assert told.returncode == 0
    assert len(told.stdout.splitlines()) >= 4


def test_every_list_comes_as_json(lab: Workspace) -> None:
    for words in (
        ["data", "list"],
        ["models", "list"],
        ["studies", "list"],
        ["runs", "list"],
        ["runs", "queue"],
        ["storage", "disk"],
    ):
        assert isinstance(json.loads(command(lab.home, *words, "--json").stdout), list), words


@pytest.mark.usefixtures("here")
def test_a_data_set_may_be_called_as_a_command_is(lab: Workspace, tmp_path: Path) -> None:
    added = command(lab.home, "data", "add", str(grouped(tmp_path / "tree")), "--name", "add", "--set", "image_px=32")
    assert added.returncode == 0, added.stderr
    assert command(lab.home, "data", "show", "add").stdout.startswith("add · fingerprint")


def completed(home: Path, line: str) -> list[str]:
    """What a shell would offer at the end of `line`, by argcomplete's own protocol."""
    (home.parent / "out").unlink(missing_ok=True)
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
        "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(home.parent / "out"), "FAIRLAB_HOME": str(home),
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'fairlab'; from fairlab.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, capture_output=True)
    return sorted(word.strip() for word in (home.parent / "out").read_text().split("\n") if word.strip())


def test_a_shell_completes_commands_options_and_names(lab: Workspace) -> None:
    (lab.run("student-x") / "run.json").parent.mkdir()
    (lab.run("student-x") / "run.json").write_text("{}")
    assert completed(lab.home, "fairlab la") == ["launch"]
    assert completed(lab.home, "fairlab data sho") == ["show"]
    assert completed(lab.home, "fairlab storage disk --by s") == ["study"]
    assert completed(lab.home, "fairlab runs show stu") == ["student-x"]
    assert "_ARGCOMPLETE" in command(lab.home, "settings", "completion", "bash").stdout


def test_help_and_a_wrong_command_import_no_room() -> None:
    """`fairlab --help` took 3.4 s of processor time when every module was imported for it; it takes 0.4 now."""
    code = (
        "import sys; from fairlab.cli.main import main; code = main(sys.argv[1:])\n"
        "print({'pandas', 'torch', 'plotly', 'scipy', 'fairlab.api.lab'} & set(sys.modules))"
    )
    for words in (["--help"], ["lanuch"], ["runs", "--help"]):
        told = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
        assert told.stdout.splitlines()[-1] == "set()", told.stderr
