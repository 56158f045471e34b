"""Characters that no name may have, and how a text from elsewhere is made safe to show: one line, no hidden orders.

A terminal obeys control characters; marks that turn the direction of writing make a text look like another one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_TURNS = r"\u202a-\u202e\u2066-\u2069"
"""Overrides and isolates of the direction; Hebrew and Arabic need none of them, and the joiners of emoji are none."""
_HALVES = r"\ud800-\udfff"
_UNFIT = re.compile(f"[{_CONTROLS}{_TURNS}{_HALVES}]")
_UNSAFE = re.compile(rf"(?![\n\t])[{_CONTROLS}{_TURNS}{_HALVES}]")
INSTEAD = "\N{REPLACEMENT CHARACTER}"


def unfit(text: str) -> str:
    """The first character of `text` that no name may have, in words for an error; "" when there is none."""
    found = _UNFIT.search(text)
    if found is None:
        return ""
    number = ord(found[0])
    kind = "half a character" if 0xD800 <= number <= 0xDFFF else "a control character"
    return f"{kind} (U+{number:04X}) at position {found.start() + 1}"


def look_alike(names: Iterable[str]) -> str:
    """Two different names that nobody can tell apart on a page, as words for an error; "" when there are none.

    They differ in blanks, in characters that are not shown, or in how an accent is written (macOS writes it apart).
    """
    seen: dict[str, str] = {}
    for name in names:
        shown = "".join(letter for letter in unicodedata.normalize("NFC", name) if unicodedata.category(letter) != "Cf")
        other = seen.setdefault(" ".join(shown.split()), name)
        if other != name:
            return f"{ascii(other)[:80]} and {ascii(name)[:80]}"
    return ""


def fault_among(names: Collection[str]) -> str:
    """What is wrong with one of these names, as words for an error: a character, or another name that looks like it; or ""."""
    for name in names:
        if fault := unfit(name):
            return f"{clean(name)[:80]!r} holds {fault}"
    alike = look_alike(names)
    return f"{alike} look alike but differ" if alike else ""


def printable(text: str) -> str:
    """`text` for a terminal or a log: line breaks and tabs stay, every other control character is shown as a box."""
    return _UNSAFE.sub(INSTEAD, text)


def clean(text: str) -> str:
    """`text` as a name in one line: what no name may have is shown as a box."""
    return _UNFIT.sub(INSTEAD, text)
