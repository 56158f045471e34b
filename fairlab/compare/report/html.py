"""A report as one HTML file: no request to anywhere, plotly once, light on screen and A4 on paper."""

from __future__ import annotations

import base64
from html import escape

import pandas as pd

from fairlab.compare.report.document import Block, Chart, Commands, Faces, Grid, Report, Sentences
from fairlab.plots.printing import drawing_script, part_of_page

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 Arial, Helvetica, sans-serif; color: #1D2733; background: #FFFFFF; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #D9E0E7; }
table { border-collapse: collapse; margin: .8rem 0; width: 100%; font-size: .85rem; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #D9E0E7; overflow-wrap: anywhere; }
pre { background: #F2F5F8; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: .8rem 0; } .faces { display: flex; flex-wrap: wrap; gap: .8rem; } .faces img { width: 64px; height: 64px; }
.faces figcaption { font-size: .75rem; max-width: 136px; overflow-wrap: anywhere; }
@page { size: A4; margin: 15mm; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } table, figure, pre { break-inside: avoid; } h2 { break-after: avoid; } }
"""


def as_html(report: Report) -> bytes:
    """The report as a page that needs nothing from elsewhere; names in it are text, whatever they look like."""
    charts = any(isinstance(block, Chart) for section in report.sections for block in section.blocks)
    script = f"<script>{drawing_script().decode()}</script>" if charts else ""
    parts = [
        f"<section><h2>{escape(section.title)}</h2>{''.join(map(_block, section.blocks))}</section>"
        for section in report.sections
        if section.blocks
    ]
    title = escape(report.title)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style>{script}</head><body><main><h1>{title}</h1>{''.join(parts)}</main></body></html>\n"
    )
    return page.encode()


def _block(block: Block) -> str:
    if isinstance(block, Sentences):
        return "".join(f"<p>{escape(line)}</p>" for line in block.lines)
    if isinstance(block, Commands):
        return f"<pre>{escape(chr(10).join(block.lines))}</pre>"
    if isinstance(block, Grid):
        return _table(block.words, block.title)
    if isinstance(block, Chart):
        return f'<figure role="img" aria-label="{escape(block.alt)}">{part_of_page(block.figure)}</figure>'
    return _faces(block)


def _table(words: pd.DataFrame, title: str) -> str:
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in words)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>"
        for row in words.itertuples(index=False)
    )
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _faces(block: Faces) -> str:
    shown = []
    for one, other, said in block.pairs:
        images = "".join(
            f'<img alt="" src="data:image/png;base64,{base64.b64encode(face).decode()}">' for face in (one, other)
        )
        shown.append(f"<figure>{images}<figcaption>{escape(said)}</figcaption></figure>")
    return f'<div class="faces">{"".join(shown)}</div>'
