"""The machine that both readers of pickles share: it allows what is listed here, and calls nothing."""

from __future__ import annotations

import io
import pickletools

import pytest

from fairlab.data.formats import pickles
from fairlab.data.formats.pickles import read_pickle
from fairlab.models.files import inert
from fairlab.reading.pickle_machine import Machine, Unreadable

STEPS = {step.name for step in pickletools.opcodes}
SHARED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "MARK", "PUT",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "STACK_GLOBAL",
}  # fmt: skip
PACK = SHARED | {"PROTO", "FRAME", "REDUCE", "BUILD"}
"""Beside these a pack holds buffers and its end."""
NOT_IN_CHECKPOINTS = {"PERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}


def allowed(machine: Machine) -> set[str]:
    return {step for step in STEPS if machine.allows(step)}


def test_each_machine_allows_these_steps_and_no_others() -> None:
    """And has no method for a step that pickletools does not know."""
    pack, checkpoint = pickles._Pack(io.BytesIO(), 0), inert._Checkpoint(lambda view: view)
    assert allowed(Machine()) == SHARED
    assert allowed(pack) == PACK
    assert allowed(checkpoint) == STEPS - NOT_IN_CHECKPOINTS
    for machine in (pack, checkpoint):
        methods = {name.removeprefix("do_").upper() for name in dir(machine) if name.startswith("do_")}
        assert methods <= STEPS


@pytest.mark.parametrize("start", [b"I", b"L", b"p", b"g", b"c", b"cnumpy\n"])
def test_a_line_without_end_is_not_read(start: bytes) -> None:
    """A number or a name in a file of zeros that goes on for ever: 1,000 bytes are enough to see it."""

    class Endless(io.BytesIO):
        most = 0

        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1000
            return super().readline(size)

    file = Endless(start + bytes(100_000))
    with pytest.raises(Unreadable, match="before byte 10"):
        read_pickle(file, 100_000_000)


def test_a_number_cut_off_is_said_to_be_so() -> None:
    for content in (b"I12", b"K", b"\x8a\x05ab", b"cnumpy\nnd", b"\x95abc"):
        with pytest.raises(Unreadable, match="truncated"):
            read_pickle(io.BytesIO(content), len(content))
