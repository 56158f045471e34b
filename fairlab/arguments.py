"""Numbers of the command line, each with its limits: a wrong one is one sentence before any work begins."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from fairlab.settings import MOST_SEED


def whole(low: int, high: int) -> Callable[[str], int]:
    """For `type=`: a whole number from `low` to `high`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"give a whole number from {low} to {high}, not {text[:40]!r}")
        return value

    return read


def fraction(text: str) -> float:
    """For `type=`: a rate from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"give a fraction from 0 to below 1, e.g. 0.01 for 1 %, not {text[:40]!r}")
    return value


def finite(text: str) -> float:
    """For `type=`: any number that is one."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"give a number, not {text[:40]!r}")
    return value


seed = whole(0, MOST_SEED)
