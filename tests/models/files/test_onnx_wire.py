"""The reader of ONNX files against the `onnx` package, which uses protobuf's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import onnx_ml_pb2 as official

from fairlab.errors import Damaged
from fairlab.models.files import onnx_file, protobuf
from fairlab.models.files.protobuf import Reader, count


class TestWire:
    """The reader against the `onnx` package, which uses protobuf's own."""

    @pytest.mark.parametrize(
        "kind",
        [value for value in vars(onnx_file).values() if isinstance(value, protobuf.Message)],
        ids=lambda kind: kind.name,
    )
    def test_the_messages_are_those_of_onnx_proto(self, kind: protobuf.Message) -> None:
        """Every field: number, name, wire type, whether it may repeat."""
        there: Any = official
        for part in kind.name.split("."):
            there = getattr(there, part)
        wires = {1: protobuf.EIGHT, 2: protobuf.FOUR, 9: protobuf.BYTES, 11: protobuf.BYTES, 12: protobuf.BYTES}
        theirs = {
            f.number: (f.name, wires.get(f.type, protobuf.VARINT), f.is_repeated) for f in there.DESCRIPTOR.fields
        }
        assert {number: (f.name, f.wire, f.many) for number, f in kind.fields.items()} == theirs

    @pytest.mark.parametrize("packed", [True, False])
    def test_numbers(self, packed: bool) -> None:
        """Packed or not, both ends of 64 bits; counted without decoding."""
        numbers = [0, 1, -1, 127, 128, 2**63 - 1, -(2**63)]
        whole = official.TensorProto(int64_data=numbers, float_data=[1.5] * 3, double_data=[2.5] * 5)
        content = whole.SerializeToString()
        if not packed:  # as protobuf writes dims, whose field is not declared as packed
            content = official.TensorProto(dims=numbers).SerializeToString().replace(b"\x08", b"\x38")
            content += b"\x25abcd" * 3 + b"\x51abcdefgh" * 5
            assert list(official.TensorProto.FromString(content).int64_data) == numbers
        found = Reader(Path("a")).read(memoryview(content), onnx_file.TENSOR)
        assert Reader(Path("a")).integers(found["int64_data"], 7) == numbers
        assert [
            count(found[name], wire) for name, wire in (("int64_data", 0), ("float_data", 5), ("double_data", 1))
        ] == [7, 3, 5]
        with pytest.raises(Damaged, match="longer than 6"):
            Reader(Path("a")).integers(found["int64_data"], 6)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x12\x01a\x12\x01b", "name appears twice"),
            (b"\x98\x06\x01", "has no field 99"),
            (b"\x02\x01a", "has no field 0"),
            (b"\x13\x14", r"name is not written as it should be"),
            (b"\x10\x01", r"name is not written as it should be"),
            (b"\x12\x05abcd", "ends after its end"),
            (b"\x12" + b"\xff" * 9 + b"\x01", "ends after its end"),
            (b"\x12" + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
            (b"\x12" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
            (b"\x12", "cut off"),
            (b"\x92\x80\x80\x80\x10\x01a", r"has no field"),
        ],
    )
    def test_what_parsers_may_see_differently(self, content: bytes, message: str) -> None:
        """Twice, undeclared, groups, beyond the end, beyond 64 bits; the last is field 2 to who cuts tags to 32 bits."""
        with pytest.raises(Damaged, match=message):
            Reader(Path("a")).read(memoryview(content), onnx_file.GRAPH)
