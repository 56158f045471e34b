"""README and manual: links lead somewhere, commands exist, and what troubleshooting quotes is what FairLab says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fairlab.cli.main import NOUNS
from tests.conftest import ROOT, command
from tests.test_architecture import LEVELS

MANUAL = ROOT / "assets" / "docs"
PAGES = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md", *sorted(MANUAL.glob("*.md"))]
LIMIT = 150


def test_the_readme_is_short_and_leads_to_every_chapter() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LIMIT
    for chapter in MANUAL.glob("*.md"):
        assert f"(assets/docs/{chapter.name})" in text, chapter.name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_every_path_that_contributing_names_exists() -> None:
    """A folder or file of the repository; `<name>` is what a newcomer writes."""
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:fairlab|tests|pages|assets)/[^`\s]*)`", text)
    assert len(paths) >= 25
    for path in paths:
        assert (ROOT / path).parent.is_dir() if "<" in path else (ROOT / path).exists(), path


def test_contributing_shows_the_levels_that_the_walls_have() -> None:
    """Who imports whom: every room on the line of its level, the highest first."""
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = next(block for block in text.split("```") if "level  rooms" in block)
    levels: dict[str, int] = {}
    for level, words in re.findall(r"^ ?(\d+) +(.+)$", picture, re.M):
        levels |= dict.fromkeys(re.split(r" {3,}", words)[0].split(), int(level))
    assert levels == LEVELS
    assert list(levels.values()) == sorted(levels.values(), reverse=True)


def _said() -> str:
    """Every text of the code, a line each; what is put in while it runs is left out."""
    lines = []
    for path in ROOT.glob("fairlab/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                lines.append("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines.append(node.value)
    return "\n".join(lines)


@cache
def _commands() -> list[str]:
    """Of the manual, and of what the code says; a noun with the command behind it."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES] + [_said()]
    named = {words for text in texts for words in re.findall(r"`fairlab ([a-z]+(?: [a-z]+)?)", text)}
    return sorted({words if words.split()[0] in NOUNS else words.split()[0] for words in named})


@pytest.mark.parametrize("name", _commands())
def test_every_command_that_is_named_has_a_help(name: str, tmp_path: Path) -> None:
    told = command(tmp_path / "home", *name.split(), "--help")
    assert told.returncode == 0, told.stderr


def test_what_troubleshooting_quotes_is_said_so() -> None:
    text = (MANUAL / "troubleshooting.md").read_text(encoding="utf-8")
    seen = [row.split("|")[1] for row in text.splitlines() if row.startswith("| ")]
    quoted = [quote for cell in seen for quote in re.findall(r"(?<!\*)\*([^*]+)\*", cell)]
    assert len(quoted) >= 10
    said = _said()
    for quote in quoted:
        for part in filter(None, (part.strip() for part in quote.split("..."))):
            assert part in said, part
