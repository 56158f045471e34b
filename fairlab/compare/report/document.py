"""The parts of a report: sections of sentences, tables, figures, faces and commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.files import not_there, write_bytes
from fairlab.plots.colours import Figure
from fairlab.tables import json_values


@dataclass(frozen=True)
class Sentences:
    """One paragraph each."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table of words for people; `numbers`: the table that the words come from, for the JSON."""

    words: pd.DataFrame
    title: str = ""
    numbers: pd.DataFrame | None = None


@dataclass(frozen=True)
class Chart:
    """A figure; `alt` says it to those who do not see it."""

    figure: Figure
    alt: str


@dataclass(frozen=True)
class Commands:
    """What to type to get the numbers again."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Faces:
    """Pairs of faces: PNG files as bytes, and words beneath."""

    pairs: tuple[tuple[bytes, bytes, str], ...]


Block = Sentences | Grid | Chart | Commands | Faces


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Report:
    """title; sections; facts: all numbers as JSON values."""

    title: str
    sections: tuple[Section, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def html(self) -> bytes:
        """One file that needs nothing from elsewhere and prints to A4."""
        from fairlab.compare.report.html import as_html

        return as_html(self)

    def markdown(self) -> str:
        """Sentences, tables and commands; figures and faces are in the HTML only."""
        from fairlab.compare.report.markdown import as_markdown

        return as_markdown(self)

    def write(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the form that the name ends in: .html, .md or .json. Returns the path.

        Raises Refused where a file exists, FairLabError for another ending.
        """
        out = Path(path).expanduser()
        forms: dict[str, Callable[[], bytes]] = {
            ".html": self.html,
            ".md": lambda: self.markdown().encode(),
            ".json": lambda: json.dumps(self.as_json(), indent=1, allow_nan=False).encode(),
        }
        if out.suffix.lower() not in forms:
            raise FairLabError(f"{out.name}: a report is written as .html, .md or .json")
        not_there(out, overwrite)
        write_bytes(out, forms[out.suffix.lower()]())
        return out

    def as_json(self) -> dict[str, Any]:
        """Everything but figures and faces: facts, and each section's sentences, tables and commands."""
        sections = []
        for section in self.sections:
            said: dict[str, Any] = {"title": section.title, "sentences": [], "tables": [], "commands": []}
            for block in section.blocks:
                if isinstance(block, Sentences):
                    said["sentences"] += block.lines
                elif isinstance(block, Commands):
                    said["commands"] += block.lines
                elif isinstance(block, Grid):
                    table = block.words if block.numbers is None else block.numbers
                    said["tables"].append({"title": block.title, "rows": table.to_dict("records")})
            sections.append(said)
        found: dict[str, Any] = json_values({"title": self.title, **self.facts, "sections": sections})
        return found
