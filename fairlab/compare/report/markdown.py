"""A report as Markdown: sentences, tables and commands; figures and faces are in the HTML only."""

from __future__ import annotations

import re

import pandas as pd

from fairlab.compare.report.document import Chart, Commands, Faces, Grid, Report, Sentences

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def as_markdown(report: Report) -> str:
    """The report; names in it are text, whatever they look like."""
    parts = [f"# {_plain(report.title)}"]
    for section in report.sections:
        if not section.blocks:
            continue
        parts.append(f"## {_plain(section.title)}")
        for block in section.blocks:
            if isinstance(block, Sentences):
                parts += [_plain(line) for line in block.lines]
            elif isinstance(block, Commands):
                parts.append("\n".join(["```bash", *block.lines, "```"]))
            elif isinstance(block, Grid):
                parts += [f"**{_plain(block.title)}**"] if block.title else []
                parts.append(_table(block.words))
            elif isinstance(block, Chart):
                parts.append(f"(Figure: {_plain(block.alt)}, in the HTML report.)")
            elif isinstance(block, Faces):
                parts.append("(Faces are in the HTML report.)")
    return "\n\n".join(parts) + "\n"


def _plain(text: object) -> str:
    return _SPECIAL.sub(r"\\\1", str(text)).replace("\n", " ")


def _table(words: pd.DataFrame) -> str:
    rows = [list(words), ["---"] * len(words.columns), *words.itertuples(index=False, name=None)]
    lines = [
        "| " + " | ".join(str(cell) if number == 1 else _plain(cell) for cell in row) + " |"
        for number, row in enumerate(rows)
    ]
    return "\n".join(lines)
