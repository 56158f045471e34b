"""Numbers as words, the same in the terminal and on the pages."""

from __future__ import annotations

from collections.abc import Sequence


def duration(seconds: float | None) -> str:
    """Seconds in words: "45 s", "3 min 20 s", "2 h 05 min"; "" for None or NaN."""
    if seconds is None or seconds != seconds:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def amount(flops: float) -> str:
    """Floating-point operations in words: "3.4 PFLOP"."""
    for unit, name in ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP")):
        if flops >= unit:
            return f"{flops / unit:,.1f} {name}"
    return f"{flops / 1e9:,.1f} GFLOP"


def room(size: float) -> str:
    """Bytes in words: "3.4 GB"."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size:,.0f} bytes"


def some(names: Sequence[str], most: int = 12) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
