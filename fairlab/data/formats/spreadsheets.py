"""Text in CSV files that a spreadsheet would run as a formula: made harmless when written, restored when read.

A text that begins with one of = + - @ tab CR gets an apostrophe before it. So does one that has apostrophes and then
such a character, so that taking one apostrophe away always gives the text that was written. Numbers stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def disarmed(text: str) -> str:
    """`text` as it is written: behind an apostrophe when a spreadsheet would take it for a formula."""
    return f"'{text}" if _RISKY.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """The text that `disarmed` was given."""
    return text[1:] if text.startswith("'") and _RISKY.match(text) else text


def is_disarmed(texts: Iterable[str]) -> bool:
    """May these texts come from `disarmed`? Not when one is a formula: then an apostrophe is part of a name."""
    return all(text.startswith("'") or disarmed(text) == text for text in texts)
