"""What a user reads is plain English: no text has a phrase that reads as if it were translated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

INSTEAD = {
    r"\bwhoever\b": "name the person or thing: 'a run that ...'",
    r"\bsomebody(?!')\b": "'a person', 'another user'",
    r"\bof which\b": "start a new sentence",
    r"\bso long\b": "'until then', 'meanwhile'",
    r"\bright would be\b": "'expected'",
    r"\banew\b": "'again'",
    r"\b(?:is|are) no (?!longer|more|less|other|better|worse)(?=\.?[A-Za-z])(?<!here is no )(?<!here are no )": "'is not a'",
    r"\b(?:stand|stands|stood) (?:in|there|twice|where|beside|around)\b": "'is in', 'appears'",
    r"\blie[sd]? (?:there|elsewhere|beside|behind|in)\b": "'is in'",
    r"\btake \w+ for\b|\b(?:is|are|was|were) taken for\b": "'mistake for', 'assume'",
    r"\bgoes? on (?:from|with|without|there|behind)\b": "'continues', 'extends past'",
    r"\bcut short\b": "'interrupted'",
    r"\bfor good\b": "'permanently'",
    r"\ball the same\b": "'anyway'",
    r"\bonce more\b": "'again'",
    r"\bput (?:it|that|them) back\b|\bbring it back\b": "'restore'",
    r"\bthere is nothing at\b": "'... does not exist'",
    r"\bredrawn\b": "'resampled', 'bootstrap'",
    r"\bof one's own\b": "'your own', 'a separate'",
    r"\bgive (?:it )?another name\b": "'choose another name'",
    r"\bbelongs? there\b": "'expected'",
    r"\bchoose of\b": "'choose from'",
    r"\bsays nothing of\b|\bsaid nothing of\b": "'does not mention'",
    r"\btell(?:s)? (?:who|whose|which)\b": "'shows who', 'says which'",
    r"\bleads nowhere\b": "'is broken'",
}  # fmt: skip
"""Regular expression of a phrase that no text may have, and what to write."""

MANUAL = [ROOT / "README.md", *sorted((ROOT / "assets" / "docs").glob("*.md"))]
CODE = sorted([*ROOT.glob("fairlab/**/*.py"), *ROOT.glob("pages/*.py")])


def _text(node: ast.expr) -> str:
    """The words of a literal, with {} for what is filled in; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every literal of two words or more, docstrings aside.

    Not only those of st.*, errors, Field() and options: many a text is put together, or noted, long before it is shown.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in left_out and " " in _text(node):
            yield node.lineno, _text(node)


def faults(text: str) -> list[str]:
    """What is wrong with a text, a line for each phrase."""
    found = ((match, say) for pattern, say in INSTEAD.items() for match in re.finditer(pattern, text, re.IGNORECASE))
    return [
        f"{match.group(0)!r} in {text[max(match.start() - 40, 0) : match.end() + 40]!r}: write {say}"
        for match, say in found
    ]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_user_reads_plain_english(path: Path) -> None:
    assert [(line, fault) for line, text in texts(path) for fault in faults(text)] == []


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_the_manual_is_in_plain_english(page: Path) -> None:
    """Commands and code aside."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert faults(" ".join(text.split())) == []


@pytest.mark.parametrize("text", ["whoever asks", "x is no table", "there is nothing at x", "12, right would be 3"])
def test_a_translated_phrase_is_seen(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize("text", ["there is no data set 'x'", "it is no longer there", "expected a table"])
def test_plain_english_passes(text: str) -> None:
    assert faults(text) == []


def test_every_text_that_is_shown_is_read(tmp_path: Path) -> None:
    """Messages, help and notes, plain or with something filled in; no docstring."""
    source = '''def check(x):\n    """Whoever asks."""\n    st.caption("one two", help=f"three {x} four")\n    notes = ["five " "six"]\n'''
    path = tmp_path / "page.py"
    path.write_text(source, encoding="utf-8")
    assert sorted(text for _, text in texts(path)) == ["five six", "one two", "three {} four"]
