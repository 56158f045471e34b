"""Numbers of the command line, each with its limits: a wrong one is one sentence before any work begins."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from fairlab.settings.base import MOST_SEED


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


seed = whole(0, MOST_SEED)
