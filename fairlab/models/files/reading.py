"""Checkpoints of strangers: their tensors, without running what they hold and without allocating what they claim.

The kind of a file is read from its content, its name only helps: safetensors, or torch.save in both its forms. Every file
is looked through before its numbers are: how many bytes it declares, and what its pickle asks for (models.inert).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.torch_file import CAP_BYTES, RE_EXPORT, SLACK_BYTES, check_sum, named, read_legacy, read_zip
from fairlab.reading.mistaken import HEAD_BYTES as FIRST_BYTES
from fairlab.reading.mistaken import check_file
from fairlab.reading.structured import parse_json

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".pth.tar", ".bin", ".pkl")
"""Names under which checkpoints are published; any other name will do as well."""
HEADER_BYTES = 2 * 2**20
"""Of a safetensors header. The longest list of keys here (iResNet-200, 1,807) takes 0.2 MB."""


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What a checkpoint file holds: names to tensors (on the CPU, mapped from the file where possible) or to more names.

    What is neither is a placeholder (models.inert.Inert). Raises FairLabError (missing, no checkpoint), Refused (asks for
    code, declares too much) or Damaged.
    """
    check_file(path, "a checkpoint")
    try:
        size = path.stat().st_size
        if size > CAP_BYTES + SLACK_BYTES:
            raise Refused(f"{path} has {size / 1e9:.1f} GB; checkpoints of at most {CAP_BYTES / 1e9:.1f} GB are read")
        with open(path, "rb") as file:
            head = file.read(FIRST_BYTES)
        if head.startswith(b"PK\x03\x04"):
            return named(path, read_zip(path, size))
        if not _is_safetensors(path, head):
            _check_text(path, head)
            return named(path, read_legacy(path, size))
        return _safetensors(path, size)
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error


def _is_safetensors(path: Path, head: bytes) -> bool:
    """A length of 8 bytes, then the header's brace; a damaged file is what its name says."""
    return head[4:9] == b"\0\0\0\0{" or (path.suffix.lower() == ".safetensors" and not head.startswith(b"\x80\x02"))


def _check_text(path: Path, head: bytes) -> None:
    """A download that failed may hold one line of text, such as "Entry not found"."""
    line = head.split(b"\n")[0].strip()
    if len(head) < FIRST_BYTES and line.isascii() and line.decode().isprintable() and not head.endswith(b"."):
        raise Damaged(f"{path} is text that begins with {line[:60].decode()!r}, not a checkpoint; download it again")


def _safetensors(path: Path, size: int) -> dict[str, Any]:
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise Damaged(f"{path} is not a safetensors file: it declares a header of {length} bytes and has {size}")
        if length > HEADER_BYTES:
            raise Refused(f"{path} declares a header of {length} bytes; at most {HEADER_BYTES} are read")
        try:
            entries = parse_json(file.read(length), str(path))
            ends = [_end(entry) for name, entry in entries.items() if name != "__metadata__"]
        except (Damaged, ValueError, LookupError, TypeError) as error:
            raise Damaged(f"{path} is not a safetensors file: its header does not follow the format") from error
    check_sum(path, max(ends, default=0), size)
    try:
        with safe_open(path, framework="pt", device="cpu") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise Damaged(f"{path} is not a safetensors file: {error}") from error


def _end(entry: Mapping[str, Any]) -> int:
    """Where a tensor ends. Raises ValueError for a place that is no whole number (1e400 is infinite)."""
    begin, end = entry["data_offsets"]
    if type(begin) is not int or type(end) is not int or begin < 0 or end < begin:
        raise ValueError("places are whole numbers")
    return end


def own(tensor: torch.Tensor, key: str, where: str) -> torch.Tensor:
    """A contiguous copy that no longer needs the file, floats as float32. Raises Refused.

    A tensor that is not plain, or larger than its storage (one value repeated a billion times), is refused: it would
    allocate far more than the file declared.
    """
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise Refused(f"{where}: {key} is not a plain tensor; {RE_EXPORT}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise Refused(f"{where}: {key} claims more values than the file holds; {RE_EXPORT}")
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(kind, copy=True, memory_format=torch.contiguous_format)
