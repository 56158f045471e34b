"""What hangs is a fault: a limit of time for a call."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Hangs(BaseException):
    """Nothing that catches errors takes it for one of its own."""


@contextmanager
def in_time(seconds: int = 10) -> Iterator[None]:
    """Raises Hangs if what is done in it takes longer."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hangs(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
