"""Weights that stand in a file beside the graph, as torch's exporter writes them, taken into the graph's own bytes.

What a file names is opened only if it is a plain file of that name in the same folder, so nothing else on the machine is
read; onnxruntime then gets one whole file and never a path. Source: onnx.proto, TensorProto.external_data.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.onnx_file import ELEMENTS, ENTRY, GRAPH, LARGEST_BYTES, MODEL, MOST_DIMS, TENSOR
from fairlab.models.files.protobuf import Reader, written

REMEDY = "export it as one file: torch.onnx.export(..., external_data=False)"


def with_external_data(path: Path, content: bytes) -> bytes:
    """The file's bytes, with all weights in them. Raises FairLabError for a file of weights that is not there, Refused for
    one that must not be opened, Damaged for one that is not whole.
    """
    reader = Reader(path)
    model = reader.read(memoryview(content), MODEL)
    if not model["graph"]:
        return content
    graph = reader.read(model["graph"][0], GRAPH)
    tensors = [reader.read(part, TENSOR) for part in graph["initializer"]]
    outside = [fields for fields in tensors if _last(fields["data_location"], 0) == 1]
    if not outside:
        return content
    files = _Beside(path, LARGEST_BYTES - len(content))
    try:
        for fields in outside:
            fields["raw_data"] = [_values(path, reader, fields, files)]
            fields["external_data"], fields["data_location"] = [], []
        graph["initializer"] = [written(TENSOR, fields) for fields in tensors]
        model["graph"] = [written(GRAPH, graph)]
        return written(MODEL, model)
    finally:
        files.close()


def _values(path: Path, reader: Reader, fields: dict[str, list[Any]], files: _Beside) -> bytes:
    """The bytes of one tensor's values."""
    entries = [reader.read(part, ENTRY) for part in fields["external_data"]]
    said = {bytes(_last(entry["key"])): bytes(_last(entry["value"])) for entry in entries}
    name = bytes(_last(fields["name"])).decode(errors="replace")[:100]
    kind = _last(fields["data_type"], 0)
    if kind not in ELEMENTS:
        raise Refused(f"{path} holds {name!r} of element type {kind}; export the network in float32")
    dims = reader.integers(fields["dims"], MOST_DIMS)
    if min(dims, default=0) < 0:
        raise reader.damaged(f"{name!r} has the shape {dims}")
    needed = -(-math.prod(dims) * ELEMENTS[kind][1] // 8)
    try:
        start, length = int(said.get(b"offset", b"0")), int(said.get(b"length", str(needed).encode()))
    except ValueError as error:
        raise reader.damaged(f"the place of {name!r} in its file of weights is not a number") from error
    if length != needed or start < 0:
        raise Damaged(
            f"{path} declares {needed} bytes for {name!r} but names {length} in its file of weights; export it again"
        )
    return files.read(said.get(b"location", b""), start, length, name)


class _Beside:
    """The files of weights in the folder of a graph, each opened once."""

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.left = path, most
        self._open: dict[bytes, int] = {}

    def read(self, location: bytes, start: int, length: int, name: str) -> bytes:
        self.left -= length
        if self.left < 0:
            raise Refused(
                f"{self.path} and its files of weights take more than {LARGEST_BYTES / 1e9:.0f} GB, which is not read"
            )
        handle = self._handle(location)
        values = os.pread(handle, length, start) if start + length <= os.fstat(handle).st_size else b""
        if len(values) != length:
            raise Damaged(
                f"{self.path.with_name(os.fsdecode(location))} ends before the weights of {name!r}; copy it again"
            )
        return values

    def _handle(self, location: bytes) -> int:
        if location in self._open:
            return self._open[location]
        shown = location.decode(errors="replace")[:100] or "not named"
        if location in (b"", b".", b"..") or any(mark in location for mark in (b"/", b"\\", b"\0", b":")):
            raise Refused(
                f"{self.path} keeps its weights in another file ({shown}), which is opened only in the same folder; {REMEDY}"
            )
        beside = self.path.parent / os.fsdecode(location)
        start = f"{self.path} keeps its weights in another file ({shown}),"
        try:
            if not stat.S_ISREG(os.lstat(beside).st_mode):  # nor opened: a pipe would wait, a link may lead anywhere
                raise Refused(f"{start} which is not a plain file; {REMEDY}")
            handle = os.open(beside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FairLabError(f"{start} which is not beside it; put it in the same folder, or {REMEDY}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Refused(f"{start} which cannot be opened ({reason}); {REMEDY}") from error
        self._open[location] = handle
        return handle

    def close(self) -> None:
        for handle in self._open.values():
            os.close(handle)


def _last(values: list[Any], otherwise: Any = b"") -> Any:
    return values[-1] if values else otherwise
