"""Names that are markup or orders to a terminal are printed as they are; output that is closed, full or ASCII ends in a sentence."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from fairlab.api.console import PlainConsole, PlainText
from fairlab.cli.streams import Plain
from fairlab.reading.characters import clean, printable, unfit
from fairlab.workspace import Workspace
from tests.conftest import ROOT, command
from tests.waiting import entered

NAMES = ["[/x]", "[south] Asia", "[bold]b[/bold]", ":smile:", "[link=http://x]y[/link]", "a\x1b[2Jb", "a\x1b]0;title\x07b", "a\rb", "a\x9b2Jb",
         "\u202egnp.exe"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_as_it_is_and_gives_no_orders(name: str) -> None:
    """As a line, a title, a header and a cell, on a terminal that knows colours."""
    out = io.StringIO()
    console = PlainConsole(file=out, force_terminal=True, width=120)
    view = Table(title=name)
    view.add_column(name)
    view.add_row(name)
    view.add_row(PlainText(name))
    console.print(view)
    console.print(name)
    console.print(PlainText(name, style="red"))
    said = out.getvalue()
    shown = printable(name)
    assert said.count(shown) == 6, said
    for order in ("\x1b[2J", "\x1b]0", "\x9b", "\x07", "\r", "\u202e"):
        assert order not in said


@pytest.mark.parametrize("name", NAMES)
def test_print_gives_no_orders(name: str) -> None:
    out = io.StringIO()
    print(name, file=Plain(out))
    assert out.getvalue() == printable(name) + "\n"
    assert not set(out.getvalue()) & set("\x1b\x07\r\x9b\u202e")


def test_what_no_name_may_have_is_named() -> None:
    assert unfit("Zoë 日本 👩‍🔬 שלום") == ""  # joiners of emoji and letters from right to left are none of it
    assert unfit("a\x1bb") == "a control character (U+001B) at position 2"
    assert unfit("\ud800") == "half a character (U+D800) at position 1"
    assert clean("a\nb\u202e") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"


def test_commands_print_titles_that_are_markup(lab: Workspace) -> None:
    """Each was a traceback, or a wrong name in silence."""
    for title in ("[/x] one", "[south] Asia"):
        entered(lab, title, status="done")
    waiting = entered(lab, "[/x] waits", status="stopped")
    for words in (
        ["runs", "list"],
        ["watch", "--once"],
        ["runs", "show", waiting.run_id],
        ["storage", "disk"],
        ["runs", "wait", waiting.run_id],
    ):
        said = command(lab.home, *words)
        assert said.returncode in (0, 1), (words, said.stderr)
        assert "Traceback" not in said.stderr
    said = command(lab.home, "runs", "list")
    assert "[/x] one" in said.stdout
    assert "[south] Asia" in said.stdout


@pytest.mark.skipif(os.name == "nt", reason="POSIX shells")
@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("exec {} > /dev/full", 2, "could not be written"),
        ("exec {} >&- 2>&-", 0, ""),
        ("exec {} < /dev/null >&-", 0, ""),
        ("PYTHONIOENCODING=ascii exec {}", 0, ""),
        (
            "mkdir gone && cd gone && rmdir ../gone && exec {}",
            2,
            "the folder that this terminal is in has been deleted",
        ),
    ],
)
def test_odd_terminals_end_in_a_sentence(lab: Workspace, tmp_path: Path, how: str, code: int, said: str) -> None:
    entered(lab, "Zoë 日本", status="done")
    line = how.format(f"{sys.executable} -m fairlab --home {lab.home} runs list")
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= (1 if said else 0)
