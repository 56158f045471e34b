"""What CI takes a sample of, `FAIRLAB_THOROUGH=1` takes whole: for a night, `FAIRLAB_THOROUGH=1 python -m pytest`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
THOROUGH = bool(os.environ.get("FAIRLAB_THOROUGH"))


def several(in_ci: T, by_night: T) -> T:
    """How many, or which, are tried: a sample that CI has the time for, or all."""
    return by_night if THOROUGH else in_ci
