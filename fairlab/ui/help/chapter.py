"""A chapter of the manual as the page Help shows it: headings one level lower, links that lead somewhere inside the app.

Nothing here knows Streamlit.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from fairlab.tables import TEXT, Table
from fairlab.ui.frame.manual import CHAPTERS

_HEADING = re.compile(r"(#{1,5}) +(.+?) *#*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_LINK = re.compile(
    r"(?P<code>(?P<ticks>`+).+?(?P=ticks))"
    r"|(?P<picture>!?)\[(?P<label>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]+)(?: +\"[^\"]*\")?\)",
    re.S,
)


@dataclass(frozen=True)
class Section:
    """A heading and the lines below it, up to the next heading."""

    title: str
    level: int
    """1 for the chapter itself."""
    lines: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """What a link to this section ends with after #; Streamlit gives the heading the same one."""
        return "-".join(re.findall(r"[^\W_]+", self.title.lower()))


def sections(text: str) -> list[Section]:
    """The sections of a chapter in their order, the first with the chapter's title."""
    parts: list[tuple[str, int, list[str]]] = []
    for line, is_code in _marked(text):
        heading = None if is_code else _HEADING.fullmatch(line)
        if heading:
            parts.append((heading[2], len(heading[1]), []))
        elif parts:
            parts[-1][2].append(line)
    return [Section(title, level, tuple(lines)) for title, level, lines in parts]


def title_of(name: str) -> str:
    """The title of a chapter, short enough for a list: what follows a colon is left out."""
    return sections(CHAPTERS[name].text)[0].title.partition(":")[0]


def as_shown(text: str) -> str:
    """A chapter as Markdown for the page, whose own title is the one heading of the first level."""
    lines = []
    for line, is_code in _marked(text):
        lines.append(f"#{line}" if not is_code and _HEADING.fullmatch(line) else line)
    blocks = re.split(r"(^ {0,3}(?:```|~~~).*?^ {0,3}(?:```|~~~)$)", "\n".join(lines), flags=re.S | re.M)
    return "".join(block if _FENCE.match(block) else _LINK.sub(_followed, block) for block in blocks)


def parts(text: str) -> list[str | pd.DataFrame]:
    """A chapter as shown, in its order: Markdown, and its tables apart, which the page lets scroll for themselves."""
    blocks: list[tuple[bool, list[str]]] = []
    for line, is_code in _marked(as_shown(text)):
        is_row = not is_code and line.startswith("|")
        if not blocks or blocks[-1][0] != is_row:
            blocks.append((is_row, []))
        blocks[-1][1].append(line)
    return [_table(lines) if is_table else "\n".join(lines) for is_table, lines in blocks]


def _table(lines: list[str]) -> pd.DataFrame:
    """A table of Markdown: names of columns, a line of dashes, rows. Cells stay Markdown."""
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return Table(**dict.fromkeys(rows[0], TEXT)).build(rows[2:])


def in_app(chapter: str, anchor: str = "") -> str:
    """The link to a chapter or a section of it, relative to the page Help."""
    return f"?chapter={chapter}" + (f"#{anchor}" if anchor else "")


def _followed(link: re.Match[str]) -> str:
    """A link that works in the app: to a chapter, a section or the web; a file of the repository becomes its path."""
    label, target = link["label"], link["target"]
    if link["code"]:
        return link[0]
    if link["picture"]:  # a picture in a chapter is a file beside it, which the browser cannot reach
        return f"*{label}*" if label else ""
    if re.match(r"#|https?://", target):
        return link[0]
    path, _, anchor = target.partition("#")
    chapter = path.removesuffix(".md")
    if chapter in CHAPTERS:
        return f"[{label}]({in_app(chapter, anchor)})"
    file = posixpath.normpath(posixpath.join("assets/docs", path))
    return f"`{file}`" if label.strip("`") == file else f"{label} (`{file}`)"


def _marked(text: str) -> Iterator[tuple[str, bool]]:
    """Every line, and whether it is part of a block of code."""
    inside = False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        yield line, inside or fence
        inside ^= fence
