"""Search in the manual: where a text occurs, by chapter and section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fairlab.ui.frame.manual import CHAPTERS
from fairlab.ui.help.chapter import Section, sections

AROUND = 90
"""Letters that are shown on each side of what was looked for."""
SHORTEST = 2
"""Letters that a search needs: a single one is in every line."""


@dataclass(frozen=True)
class Line:
    """What was looked for, as the manual writes it, with the words around it."""

    before: str
    match: str
    after: str


@dataclass(frozen=True)
class Result:
    """A section in which the text occurs."""

    chapter: str
    section: Section
    lines: tuple[Line, ...]
    """One for each paragraph, list item or table row; none where only the section's title has the text."""


def search(text: str) -> list[Result]:
    """The sections of all chapters that contain `text`, whatever the case; none where it is too short to look for."""
    words = " ".join(text.split())
    if len(words) < SHORTEST:
        return []
    results = []
    for name, chapter in CHAPTERS.items():
        for section in sections(chapter.text):
            lines = tuple(line for passage in _passages(section.lines) if (line := _cut(passage, words)))
            if lines or _cut(section.title, words):
                results.append(Result(name, section, lines))
    return results


def _passages(lines: tuple[str, ...]) -> Iterator[str]:
    """Paragraphs, list items and table rows, each on one line and without the marks of Markdown."""
    passage: list[str] = []
    for line in [*lines, ""]:
        bare = line.strip()
        if not bare or re.match(r"[-*] |\||\d+\. |```", bare):
            if passage:
                yield _words(" ".join(passage))
            passage = []
        if bare and not re.fullmatch(r"[-|: ]+|```.*", bare):
            passage.append(bare)


def _words(markdown: str) -> str:
    """The words of a passage as the page shows them."""
    bare = re.sub(r"!?\[([^\[\]]*)\]\([^()\s]+\)", r"\1", markdown)
    bare = re.sub(r"^[-*] |\*\*|`", "", bare)
    bare = re.sub(r"(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)", "", bare)
    return " · ".join(cell.strip() for cell in bare.strip("| ").split(" | "))


def _cut(passage: str, words: str) -> Line | None:
    """The first place of `words` in a passage; None where there is none."""
    place = re.search(re.escape(words), passage, re.IGNORECASE)
    if place is None:
        return None
    before, after = passage[: place.start()], passage[place.end() :]
    if len(before) > AROUND:
        before = "… " + before[-AROUND:].partition(" ")[2]
    if len(after) > AROUND:
        after = after[:AROUND].rpartition(" ")[0] + " …"
    return Line(before, place[0], after)
