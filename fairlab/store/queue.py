"""A run's place in the queue: its turn, whether it is held, and where it is to work. runs/<run>/queue.json.

Beside the record, not in it: what a run is stays the same wherever and whenever it works.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fairlab.errors import Damaged
from fairlab.files import read_json, there, write_json
from fairlab.settings.placement import Placement, warn_once, without_programs
from fairlab.settings.study import parse

FILE = "queue.json"


@dataclass(frozen=True)
class Turn:
    """position: the lower starts first, equal ones as they were created; held: it is not started; placement: where;
    gpus: those of this machine that its process was given.
    """

    position: float = 0.0
    held: bool = False
    placement: Placement = field(default_factory=Placement)
    gpus: tuple[str, ...] = ()


def read_turn(folder: Path) -> Turn:
    """A run's place in the queue; the default for a run that was never given one. Raises Damaged."""
    path = folder / FILE
    if not there(path):
        return Turn()
    raw = read_json(path)
    try:
        position, held, gpus = float(raw["position"]), raw["held"], raw.get("gpus", [])
        if not math.isfinite(position) or not isinstance(held, bool) or not isinstance(gpus, list):
            raise ValueError("position is not a number, held is neither true nor false, or gpus is not a list")
        where, ignored = without_programs(raw["placement"])
        warn_once(str(path), ignored)
        return Turn(position, held, parse(Placement, where, str(path)), tuple(str(gpu) for gpu in gpus))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Damaged(
            f"{path} is not a place in the queue: {error}; delete the file, and the run waits like any other"
        ) from error


def write_turn(folder: Path, turn: Turn) -> None:
    """Replace a run's place in the queue."""
    write_json(folder / FILE, {**asdict(turn), "placement": turn.placement.model_dump(mode="json")})
