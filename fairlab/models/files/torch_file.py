"""Files of torch.save: where the pickle and the numbers lie, in the zip form (torch >= 1.6) and in the form before it.

torch's own loader is not used: it compares the names in a zip without case, so that a second DATA.PKL would be read in place of
the data.pkl that was looked at. Here the table of contents must hold what torch.save writes and nothing else, every size is
compared with the file before anything is allocated, and tensors are views of the mapped file.
Source of the forms: torch/serialization.py.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.inert import ELEMENT_BYTES, Content, Hostile, Inert, Storage, Unreadable, View, read_content

CAP_BYTES = 8 * 2**30
"""Tensors that a file may declare. The largest known are smaller: iResNet-200 with the head of Glint360K and the momentum
of both is 2.4 GB, the head of WebFace42M (2 million identities) 4.2 GB. More would not fit a laptop's memory."""
PICKLE_BYTES = 4 * 2**20
"""Of the pickle beside the tensors. That of iResNet-200 with its optimizer takes 0.5 MB; a pickle is read by Python,
op by op, so this also bounds the time."""
SLACK_BYTES = 16 * 2**20
"""Of a file that nothing in it accounts for: names, alignment, the pickle itself."""
MOST_MEMBERS = 100_000
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The first two pickles of a file of torch < 1.6."""
WRITTEN = re.compile(
    r"[^/\\]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/[\w.]+|data/[\w.-]+)"
)
"""Names of the members that torch.save writes, below the archive's own name."""
RE_EXPORT = "at its source, save only the weights: torch.save(network.state_dict(), 'weights.pth')"
KINDS = {
    "Bool": torch.bool, "Byte": torch.uint8, "Char": torch.int8, "Short": torch.int16, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Int": torch.int32, "Float": torch.float32, "Long": torch.int64, "Double": torch.float64,
    "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}  # fmt: skip
Place = Callable[[Storage], int]
"""Where the numbers of a storage begin in the file. Raises Damaged."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a zip, stored as it is: where its bytes begin, and how many they are."""

    start: int
    size: int


def read_zip(path: Path, size: int) -> Content:
    """What a file of torch >= 1.6 holds. Raises Refused, Damaged."""
    members = _members(path, size)
    pickle = _bytes(path, members["data.pkl"])
    swap = "byteorder" in members and _bytes(path, members["byteorder"]).decode("latin-1") != sys.byteorder

    def place(storage: Storage) -> int:
        member = members.get(f"data/{storage.key}")
        if member is None or member.size < storage.declared:
            raise Damaged(f"{path} is missing values of its tensors: data/{storage.key} is not whole")
        return member.start

    declared = _content(path, io.BytesIO(pickle))
    check_sum(path, sum(storage.declared for storage in declared.storages.values()), size)
    return _content(path, io.BytesIO(pickle), _Tensors(path, size, place, swap).tensor)


def read_legacy(path: Path, size: int) -> Content:
    """What a file of torch < 1.6 holds: five pickles, then the raw storages one after another. Raises Refused, Damaged."""
    with open(path, "rb") as file:
        stream = io.BytesIO(file.read(PICKLE_BYTES))
    if MAGIC.to_bytes(10, "little") not in stream.getvalue()[:64]:
        _refuse_other_pickle(path, stream)
    magic, protocol, system = (_content(path, stream).value for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or not isinstance(system, dict):
        raise Damaged(f"{path} is not a checkpoint of torch: it is something else; {RE_EXPORT}")
    begin = stream.tell()
    declared = _content(path, stream)
    keys = _content(path, stream).value
    check_sum(path, sum(storage.declared for storage in declared.storages.values()), size)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise Damaged(f"{path} is not a checkpoint of torch: its list of storages is not one that torch writes")
    places, at = dict[str, int](), stream.tell()
    for key in keys:
        if key not in declared.storages:
            raise Damaged(f"{path} is not a checkpoint of torch: the storage {key[:80]!r} belongs to no tensor")
        places[key] = at + 8
        at += 8 + declared.storages[key].declared
    if at > size:
        raise Damaged(f"{path} is not whole: it declares tensors up to byte {at:,} and ends at {size:,}")
    if size - at > SLACK_BYTES:
        raise Refused(f"{path} has {size - at:,} bytes that belong to no tensor; {RE_EXPORT}")

    def place(storage: Storage) -> int:
        if storage.key not in places:
            raise Damaged(f"{path} is missing values of its tensors: the storage {storage.key[:80]} is not listed")
        return places[storage.key]

    stream.seek(begin)
    swap = system.get("little_endian", True) is not (sys.byteorder == "little")
    return _content(path, stream, _Tensors(path, size, place, swap).tensor)


def _refuse_other_pickle(path: Path, stream: io.BytesIO) -> NoReturn:
    """A pickle that torch did not write, such as a verification pack: Refused when it attacks, else Damaged."""
    try:
        read_content(stream, lambda view: None)
    except Hostile as error:
        raise Refused(f"{path} {error}; {RE_EXPORT}") from error
    except Unreadable:
        pass  # of no interest: it is not torch's
    raise Damaged(f"{path} is not a checkpoint of torch: it is something else; {RE_EXPORT}")


def check_sum(path: Path, declared: int, size: int) -> None:
    if declared > CAP_BYTES:
        raise Refused(f"{path} declares {declared / 1e9:.1f} GB of tensors; at most {CAP_BYTES / 1e9:.1f} GB are read")
    if declared > size:
        raise Damaged(f"{path} declares {declared} bytes of tensors but is {size} bytes long")


def named(path: Path, content: Content) -> Mapping[str, Any]:
    """The names that a file holds. Raises Refused for an object of a class, FairLabError for anything else without names."""
    value = content.value
    if isinstance(value, torch.Tensor):
        return {"weight": value}  # rank_k_softmax_weight.pt of early PartialFC: the head, bare
    if isinstance(value, Inert) and not value:
        raise Refused(
            f"{path} holds a whole object of {value.name}, which could run code and was not loaded; {RE_EXPORT}"
        )
    if not isinstance(value, Mapping):
        raise FairLabError(f"{path} holds a {type(value).__name__}, not named tensors; {RE_EXPORT}")
    return value


def _content(path: Path, stream: io.BytesIO, tensor: Callable[[View], Any] = lambda view: None) -> Content:
    try:
        return read_content(stream, tensor)
    except Hostile as error:
        raise Refused(f"{path} {error}; {RE_EXPORT}") from error
    except Unreadable as error:
        raise Damaged(f"{path} is not a checkpoint of torch: {error}") from error


def _members(path: Path, size: int) -> dict[str, Member]:
    """The members without the archive's own name. Raises Refused, Damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as error:
        raise Damaged(f"{path} is not a whole checkpoint of torch: {error}") from error
    names = [member.filename for member in listed]
    if any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        raise Refused(f"{path} is a TorchScript archive, which holds code; {RE_EXPORT}")
    if not any(name.rpartition("/")[2].lower() == "data.pkl" for name in names):
        raise Damaged(
            f"{path} is a zip archive of {', '.join(names[:3]) or 'nothing'}; unpack it and choose the file inside"
        )
    total = sum(member.file_size for member in listed)
    check_sum(path, total, size)
    if any(member.compress_type != zipfile.ZIP_STORED for member in listed):
        raise Refused(f"{path} has compressed members, which torch.save never writes; {RE_EXPORT}")
    if size - total > SLACK_BYTES or len(listed) > MOST_MEMBERS:
        raise Refused(f"{path} has {size:,} bytes, and its table of contents accounts for {total:,}; {RE_EXPORT}")
    if odd := [name for name in names if not WRITTEN.fullmatch(name)]:
        raise Refused(f"{path} holds {odd[0][:80]!r}, a name that torch.save does not write; {RE_EXPORT}")
    if len({name.lower() for name in names}) != len(names) or len({name.partition("/")[0] for name in names}) != 1:
        raise Refused(f"{path} holds two files of one name, which torch.save does not write; {RE_EXPORT}")
    places = {member.filename.partition("/")[2]: _place(path, member, size) for member in listed}
    if places["data.pkl"].size > PICKLE_BYTES:
        raise Refused(f"{path} holds a pickle of {places['data.pkl'].size} bytes; at most {PICKLE_BYTES} are read")
    pickle = next(member for member in listed if member.filename.endswith("/data.pkl"))
    if pickle.CRC and zlib.crc32(_bytes(path, places["data.pkl"])) != pickle.CRC:  # 0: written without
        raise Damaged(f"{path} is not a whole checkpoint of torch: its data.pkl is not as it was written")
    return places


def _place(path: Path, member: zipfile.ZipInfo, size: int) -> Member:
    """Where a member's bytes begin: after its own header, whose lengths may differ from the table's."""
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise Damaged(f"{path} is not a whole checkpoint of torch: {member.filename[:80]} has no header")
    start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    if start + member.file_size > size:
        raise Damaged(f"{path} is not a whole checkpoint of torch: {member.filename[:80]} ends after the file")
    return Member(start, member.file_size)


def _bytes(path: Path, member: Member) -> bytes:
    with open(path, "rb") as file:
        file.seek(member.start)
        return file.read(member.size)


class _Tensors:
    """Makes the tensors of one file: views of the mapped file, or copies where they do not lie as the machine needs them."""

    def __init__(self, path: Path, size: int, place: Place, swap: bool) -> None:
        self.path, self.size, self.place, self.swap = path, size, place, swap
        self.whole: torch.UntypedStorage | None = None
        self.copies: dict[tuple[str, torch.dtype], torch.UntypedStorage] = {}

    def tensor(self, view: View) -> torch.Tensor:
        storage = view.storage
        dtype = _dtype(view.dtype.removeprefix("torch.")) if view.dtype else KINDS.get(storage.kind[6:-7])
        if dtype is None:
            raise Hostile("declares its tensors in a way that torch.save does not write")
        reach = sum((side - 1) * step for side, step in zip(view.size, view.stride, strict=True))
        last = -1 if 0 in view.size else view.offset + reach
        if view.offset < 0 or (last + 1) * dtype.itemsize > storage.declared:
            raise Unreadable(f"a tensor reaches beyond its storage {storage.key[:80]}")
        try:
            numbers = self.numbers(storage, dtype)
            return torch.empty(0, dtype=dtype).set_(numbers, view.offset, view.size, view.stride)
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise Unreadable(" ".join(str(error).split("\n")[0].split())) from error

    def numbers(self, storage: Storage, dtype: torch.dtype) -> torch.UntypedStorage:
        start = self.place(storage)
        if start % ELEMENT_BYTES[storage.kind] or start % dtype.itemsize or self.swap:
            return self.copied(storage, start, dtype)
        if self.whole is None:
            whole = torch.UntypedStorage.from_file(str(self.path), False, self.size)
            assert isinstance(whole, torch.UntypedStorage)
            self.whole = whole
        return self.whole[start : start + storage.declared]

    def copied(self, storage: Storage, start: int, dtype: torch.dtype) -> torch.UntypedStorage:
        key = storage.key, dtype
        if key not in self.copies:
            content = bytearray(_bytes(self.path, Member(start, storage.declared)))
            self.copies[key] = torch.frombuffer(content or bytearray(1), dtype=torch.uint8).untyped_storage()
            if self.swap:
                self.copies[key].byteswap(dtype)
        return self.copies[key]


def _dtype(name: str) -> torch.dtype | None:
    dtype = getattr(torch, name, None)
    return dtype if isinstance(dtype, torch.dtype) else None
