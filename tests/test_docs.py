"""README and manual: links lead somewhere, commands exist, and what troubleshooting quotes is what FairLab says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT, command

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


@cache
def _commands() -> list[str]:
    spans = [span for page in PAGES for span in re.findall(r"`fairlab ([a-z]+)", page.read_text(encoding="utf-8"))]
    return sorted(set(spans))


@pytest.mark.parametrize("name", _commands())
def test_every_command_that_is_named_has_a_help(name: str, tmp_path: Path) -> None:
    told = command(tmp_path / "home", name, "--help")
    assert told.returncode == 0, told.stderr


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


def test_what_troubleshooting_quotes_is_said_so() -> None:
    text = (MANUAL / "troubleshooting.md").read_text(encoding="utf-8")
    seen = [row.split("|")[1] for row in text.splitlines() if row.startswith("| ")]
    quoted = [quote for cell in seen for quote in re.findall(r"(?<!\*)\*([^*]+)\*", cell)]
    assert len(quoted) >= 10
    said = _said()
    for quote in quoted:
        for part in filter(None, (part.strip() for part in quote.split("..."))):
            assert part in said, part
