"""What the words of a call mean: numbers within limits, settings, places. A wrong one is one sentence before any work begins."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from fairlab.errors import FairLabError
from fairlab.reading.structured import value_of, values_of
from fairlab.settings.base import MOST_SEED
from fairlab.settings.placement import PERSONAL
from fairlab.settings.study import MOST_POINTS


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


def images(text: str) -> int:
    """For `type=`: how many images a map lays out, or "all" of them."""
    return MOST_POINTS if text == "all" else whole(50, MOST_POINTS)(text)


def dials(options: argparse.Namespace) -> dict[str, Any]:
    """The --set, --seeds and --vary of a call as dotted settings; values are JSON where they parse as such."""
    found = _settings(options.set, "--set", "student.training.epochs=5")
    if axes := _axes(getattr(options, "vary", ())):
        found["grid.vary"] = axes
    if getattr(options, "seeds", None):
        found["seeds"] = options.seeds
    return found


def _axes(given: Sequence[str]) -> dict[str, list[Any]]:
    """The settings of --vary, each with its values."""
    found: dict[str, list[Any]] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name or not text:
            raise FairLabError(f"--vary {item}: write SETTING=VALUE,VALUE, e.g. student.loss.margin_rad=0.3,0.5")
        if name in found:
            raise FairLabError(f"--vary {name} is given twice; give all its values at once, with commas between")
        found[name] = values_of(text)
    return found


def where(options: argparse.Namespace) -> dict[str, Any]:
    """The --engine, --devices and --on of a call as dotted settings of a placement."""
    asked = {"engine": options.engine, "devices": options.devices}
    given = _settings(options.on, "--on", "slurm.partition=gpu")
    if named := [name for name in given if name in {f"slurm.{name}" for name in PERSONAL}]:
        raise FairLabError(
            f"{named[0]} is kept in your own configuration: `fairlab settings config --set {named[0]}=...`"
        )
    return {**given, **{name: value for name, value in asked.items() if value is not None}}


def _settings(given: Sequence[str], option: str, example: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise FairLabError(f"{option} {item}: write SETTING=VALUE, e.g. {example}")
        found[name] = value_of(text)
    return found
