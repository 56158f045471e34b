"""What is shown to people: names as they are, without orders to the terminal, and the same table in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fairlab.reading.characters import printable

PIPED_COLUMNS = 200
"""Into a file or another program a row stays one line."""


class PlainConsole(Console):
    """A console that takes no name for markup or for the name of a picture, and shows control characters as boxes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style, None)


class PlainText(Text):
    """rich's text, measured as it will be shown."""

    def __init__(self, text: str = "", *more: Any, **options: Any) -> None:
        super().__init__(printable(text), *more, **options)


def console_for_people() -> PlainConsole:
    """As wide as the terminal; wide where there is none."""
    return PlainConsole(width=None if is_terminal(sys.stdout) else PIPED_COLUMNS)


def is_terminal(stream: TextIO | None) -> bool:
    """False also for a stream that is closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


console = console_for_people()
