"""What an ONNX file holds, looked through before onnxruntime sees it: nothing is run, nothing is allocated.

Known attacks are files beside the model (external data: CVE-2022-25882, CVE-2025-51480, CVE-2026-34447), operators from
elsewhere, and sizes that are only declared. All are refused by lists of what is allowed. The fields are those of
onnx.proto (IR version 14); a test compares them with the `onnx` package.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.protobuf import EIGHT, FOUR, VARINT, Reader, count, message

MODEL = message(
    "ModelProto",
    "1 ir_version varint, 2 producer_name bytes, 3 producer_version bytes, 4 domain bytes, 5 model_version varint,"
    "6 doc_string bytes, 7 graph bytes, 8 opset_import bytes*, 14 metadata_props bytes*, 20 training_info bytes*,"
    "25 functions bytes*, 26 configuration bytes*",
)
GRAPH = message(
    "GraphProto",
    "1 node bytes*, 2 name bytes, 5 initializer bytes*, 10 doc_string bytes, 11 input bytes*, 12 output bytes*,"
    "13 value_info bytes*, 14 quantization_annotation bytes*, 15 sparse_initializer bytes*, 16 metadata_props bytes*",
)
NODE = message(
    "NodeProto",
    "1 input bytes*, 2 output bytes*, 3 name bytes, 4 op_type bytes, 5 attribute bytes*, 6 doc_string bytes,"
    "7 domain bytes, 8 overload bytes, 9 metadata_props bytes*, 10 device_configurations bytes*",
)
ATTRIBUTE = message(
    "AttributeProto",
    "1 name bytes, 2 f four, 3 i varint, 4 s bytes, 5 t bytes, 6 g bytes, 7 floats four*, 8 ints varint*,"
    "9 strings bytes*, 10 tensors bytes*, 11 graphs bytes*, 13 doc_string bytes, 14 tp bytes, 15 type_protos bytes*,"
    "20 type varint, 21 ref_attr_name bytes, 22 sparse_tensor bytes, 23 sparse_tensors bytes*",
)
TENSOR = message(
    "TensorProto",
    "1 dims varint*, 2 data_type varint, 3 segment bytes, 4 float_data four*, 5 int32_data varint*,"
    "6 string_data bytes*, 7 int64_data varint*, 8 name bytes, 9 raw_data bytes, 10 double_data eight*,"
    "11 uint64_data varint*, 12 doc_string bytes, 13 external_data bytes*, 14 data_location varint,"
    "16 metadata_props bytes*",
)
OPSET = message("OperatorSetIdProto", "1 domain bytes, 2 version varint")
ENTRY = message("StringStringEntryProto", "1 key bytes, 2 value bytes")
VALUE = message("ValueInfoProto", "1 name bytes, 2 type bytes, 3 doc_string bytes, 4 metadata_props bytes*")
TYPE = message(
    "TypeProto",
    "1 tensor_type bytes, 4 sequence_type bytes, 5 map_type bytes, 6 denotation bytes, 7 opaque_type bytes,"
    "8 sparse_tensor_type bytes, 9 optional_type bytes",
)
TENSOR_TYPE = message("TypeProto.Tensor", "1 elem_type varint, 2 shape bytes")
SHAPE = message("TensorShapeProto", "1 dim bytes*")
DIMENSION = message("TensorShapeProto.Dimension", "1 dim_value varint, 2 dim_param bytes, 3 denotation bytes")

LARGEST_BYTES = 10**9
"""Of a file. iResNet-200, the largest published face network, takes 0.48 GB."""
DEEPEST = 8
"""Graphs inside graphs (If, Loop)."""
MOST_DIMS = 16
FIRST_NODES = 8
LOOPS = ("Loop", "Scan")
DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml")
"""The operators of the ONNX standard itself. com.microsoft's are not among them: some of those open files."""
ELEMENTS = {
    1: ("float32", 32, "float_data", FOUR), 2: ("uint8", 8, "int32_data", VARINT), 3: ("int8", 8, "int32_data", VARINT),
    4: ("uint16", 16, "int32_data", VARINT), 5: ("int16", 16, "int32_data", VARINT),
    6: ("int32", 32, "int32_data", VARINT), 7: ("int64", 64, "int64_data", VARINT),
    9: ("bool", 8, "int32_data", VARINT), 10: ("float16", 16, "int32_data", VARINT),
    11: ("float64", 64, "double_data", EIGHT), 12: ("uint32", 32, "uint64_data", VARINT),
    13: ("uint64", 64, "uint64_data", VARINT), 16: ("bfloat16", 16, "int32_data", VARINT),
    21: ("uint4", 4, "int32_data", VARINT), 22: ("int4", 4, "int32_data", VARINT),
}  # fmt: skip
"""TensorProto.DataType: name, bits, and where values stand that are not in raw_data (onnx.proto, TensorProto)."""


@dataclass(frozen=True)
class Value:
    """An input or output of the graph. dims: a number or None (free) each; empty when the file does not say."""

    name: str
    element: str
    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name!r} [{', '.join(str(dim or '?') for dim in self.dims)}] of {self.element}"


@dataclass(frozen=True)
class Node:
    """One operation."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxFile:
    """inputs: without those that have weights as their default, as old files list them."""

    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    first_nodes: tuple[Node, ...]
    training: bool = False
    """Does a node normalise over the batch, or drop out, as while training?"""


def read_onnx(path: Path) -> bytes:
    """The bytes of a file that may be looked at. Raises FairLabError (missing), Refused (too large, no plain file)."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise Refused(f"{path} is not a plain file; choose an .onnx file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_BYTES:
                raise Refused(f"{path} takes {size / 1e9:.1f} GB; at most {LARGEST_BYTES / 1e9:.0f} GB are read")
            return file.read(size)
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist") from error
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error


def look_through(path: Path, content: bytes) -> OnnxFile:
    """Every message of the file that can hold values, operators or graphs. Raises Refused or Damaged, naming the file."""
    if content[4:8] == b"ORTM":  # onnxruntime would take it for its own format and not see what is checked here
        raise Refused(f"{path} is in onnxruntime's own format, which can hold anything; choose the .onnx file")
    return _Look(path).model(memoryview(content))


class _Look:
    """The walk through one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = Reader(path)
        self.training = False

    def model(self, data: memoryview) -> OnnxFile:
        fields = self.reader.read(data, MODEL)
        if not fields["graph"]:
            raise self.reader.damaged("it holds no graph")
        opset = 0
        for part in fields["opset_import"]:
            entry = self.reader.read(part, OPSET)
            self.domain(entry["domain"])
            if bytes(_last(entry["domain"])) in DOMAINS[:2]:
                opset = int(_last(entry["version"], 0))
        graph = self.graph(fields["graph"][0], 0)
        for name, remedy in (
            ("functions", "inline them with onnx.inliner.inline_local_functions"),
            ("training_info", "export the network for inference"),
        ):  # functions that call functions can grow a small file without bounds
            if fields[name]:
                raise Refused(f"{self.path} holds {name}, which FairLab does not run; {remedy}")
        if not 0 < opset < 2**31:
            raise self.reader.damaged("it does not say which version of the operators it needs")
        weights = {self.text(self.reader.read(part, TENSOR)["name"]) for part in graph["initializer"]}
        inputs = [self.value(part) for part in graph["input"]]
        return OnnxFile(
            opset,
            tuple(value for value in inputs if value.name not in weights),
            tuple(self.value(part) for part in graph["output"]),
            tuple(self.operation(part) for part in graph["node"][:FIRST_NODES]),
            self.training,
        )

    def graph(self, data: memoryview, depth: int) -> dict[str, list[Any]]:
        """The fields of a graph all of whose weights and nodes are allowed."""
        if depth > DEEPEST:
            raise Refused(f"{self.path} has graphs inside graphs, more than {DEEPEST} deep")
        fields = self.reader.read(data, GRAPH)
        if fields["sparse_initializer"]:
            raise self.sparse()
        for part in fields["initializer"]:
            self.tensor(part)
        for part in fields["node"]:
            node = self.reader.read(part, NODE)
            self.domain(node["domain"])
            operator = self.text(node["op_type"])
            if operator in LOOPS:
                raise Refused(f"{self.path} holds a {operator}, which may never end; a face network needs none")
            for attribute in node["attribute"]:
                self.attribute(attribute, depth)
                if operator == "BatchNormalization":
                    self.training |= self.switched_on(attribute, b"training_mode")
        return fields

    def attribute(self, data: memoryview, depth: int) -> None:
        fields = self.reader.read(data, ATTRIBUTE)
        if fields["sparse_tensor"] or fields["sparse_tensors"]:
            raise self.sparse()
        for part in fields["t"] + fields["tensors"]:
            self.tensor(part)
        for part in fields["g"] + fields["graphs"]:
            self.graph(part, depth + 1)

    def switched_on(self, data: memoryview, name: bytes) -> bool:
        """Is this the attribute of that name, and not 0?"""
        fields = self.reader.read(data, ATTRIBUTE)
        return bytes(_last(fields["name"])) == name and bool(_last(fields["i"], 0))

    def tensor(self, data: memoryview) -> None:
        """Its values stand in this file, and there are as many as it declares."""
        fields = self.reader.read(data, TENSOR)
        name = self.text(fields["name"])[:100]
        if fields["external_data"] or _last(fields["data_location"], 0) != 0:
            entries = [self.reader.read(part, ENTRY) for part in fields["external_data"]]
            where = [self.text(entry["value"]) for entry in entries if bytes(_last(entry["key"])) == b"location"]
            raise Refused(
                f"{self.path} keeps the values of {name!r} in another file ({', '.join(where)[:100] or 'not named'}); "
                "where it comes from, save it as one file: onnx.save(model, path, save_as_external_data=False)"
            )
        kind = _last(fields["data_type"], 0)
        if kind not in ELEMENTS:
            raise Refused(f"{self.path} holds {name!r} of element type {kind}; export the network in float32")
        element, bits, store, wire = ELEMENTS[kind]
        dims = self.reader.integers(fields["dims"], MOST_DIMS)
        if min(dims, default=0) < 0:
            raise self.reader.damaged(f"{name!r} has the shape {dims}")
        needed = -(-math.prod(dims) * bits // 8)  # two 4-bit values share a byte
        if fields["raw_data"]:
            there = len(fields["raw_data"][0])
        else:
            there = count(fields[store], wire) * max(bits // 8, 1)
        if needed != there:
            raise Damaged(
                f"{self.path} declares {needed} bytes for {name!r} ({dims} of {element}) but holds {there}; "
                "copy or export it again"
            )

    def domain(self, values: list[Any]) -> None:
        name = bytes(_last(values))
        if name not in DOMAINS:
            raise Refused(
                f"{self.path} needs operators of {name.decode(errors='replace')[:100]!r}, which FairLab does not run; "
                "export it with the operators of the ONNX standard alone"
            )

    def sparse(self) -> Refused:
        return Refused(f"{self.path} holds sparse weights, which can claim any size; export it with dense ones")

    def value(self, data: memoryview) -> Value:
        fields = self.reader.read(data, VALUE)
        name = self.text(fields["name"])
        kinds = self.reader.read(_last(fields["type"]), TYPE)
        given = [kind for kind, found in kinds.items() if found and kind != "denotation"]
        if given != ["tensor_type"]:
            return Value(name, " and ".join(given) or "no type", ())
        tensor = self.reader.read(kinds["tensor_type"][0], TENSOR_TYPE)
        number = _last(tensor["elem_type"], 0)
        element = ELEMENTS[number][0] if number in ELEMENTS else f"element type {number}"
        if not tensor["shape"]:
            return Value(name, element, ())
        return Value(name, element, tuple(map(self.dimension, self.reader.read(tensor["shape"][0], SHAPE)["dim"])))

    def dimension(self, data: memoryview) -> int | None:
        fields = self.reader.read(data, DIMENSION)
        if not fields["dim_value"]:
            return None
        (size,) = self.reader.integers(fields["dim_value"], 1)
        if size < 1 or fields["dim_param"]:
            raise self.reader.damaged(f"an input or output has the size {size}")
        return size

    def operation(self, data: memoryview) -> Node:
        fields = self.reader.read(data, NODE)
        inputs, outputs = (tuple(self.text([part]) for part in fields[name]) for name in ("input", "output"))
        return Node(self.text(fields["op_type"]), inputs, outputs)

    def text(self, values: list[Any]) -> str:
        try:
            return bytes(_last(values)).decode()
        except UnicodeDecodeError as error:
            raise self.reader.damaged("a name is not text") from error


def _last(values: list[Any], otherwise: Any = b"") -> Any:
    """The value of a field that stands once or not at all."""
    return values[-1] if values else otherwise
