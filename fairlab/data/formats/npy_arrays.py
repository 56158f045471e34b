"""Arrays in .npy and .npz files: what their headers declare is checked before any memory is taken; no pickle is opened."""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fairlab.errors import Damaged, FairLabError, Refused

MAX_BYTES = 16 << 30
"""What one file of embeddings may declare."""
MAX_MEMBERS = 64
_SMALL = 64 << 20  # below this a wrong claim does no harm
_RATIO = {"f": 100, "U": 300, "S": 300}
# Real numbers hardly shrink, names padded with zeros shrink a lot; a bomb of zeros shrinks a thousand times.
_TEXT_BYTES = 16 << 10  # of one name
_CHUNK = 16 << 20


@dataclass(frozen=True)
class Declared:
    """What the header of an array says. offset: bytes before its data."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """Size of the data; exact, however large the numbers in the header."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Whatever zip, numpy or the system say of a file, as one FairLabError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's of old headers, Python's of odd escapes in broken ones
            yield
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist; check the path") from error
    except (
        OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, MemoryError, OverflowError, RecursionError,
        RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        said = (str(getattr(error, "strerror", None) or error) or type(error).__name__).splitlines()[0][:200]
        raise Damaged(f"{path} cannot be read as an array of numbers: {said}") from error


def _declared(path: Path, handle: IO[bytes], name: str) -> Declared:
    """The header at the start of `handle`. Raises ValueError and others; Refused for a pickle."""
    version = np.lib.format.read_magic(handle)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(handle)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(handle)
    else:
        raise ValueError(f"its header version {version[0]}.{version[1]} is not supported")
    if dtype.hasobject:
        raise Refused(
            f"{path}: {name} holds Python objects (a pickle), which can run code when it is read; save it with a "
            f"plain type, e.g. names.astype(str) or vectors.astype('float32')"
        )
    if dtype.names or dtype.subdtype or min(shape, default=0) < 0 or not all(type(size) is int for size in shape):
        raise ValueError(f"{name} is not a plain array")
    return Declared(name, shape, dtype, fortran, handle.tell())


def npy_header(path: Path) -> Declared:
    """What a .npy file declares. Raises Refused (pickle), Damaged (no .npy, or not as many bytes as it says)."""
    with plain_errors(path), open(path, "rb") as handle:
        found = _declared(path, handle, "the array")
        there = os.fstat(handle.fileno()).st_size - found.offset
    if there != found.nbytes:
        shape = " x ".join(map(str, found.shape))
        raise Damaged(f"{path}: its header says {shape} of {found.dtype}, {found.nbytes:,} bytes; it has {there:,}")
    return found


def npy_array(path: Path, header: Declared) -> np.ndarray:
    """The array of a .npy file, mapped: read from the disk where it is looked at."""
    with plain_errors(path):
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, "F" if header.fortran else "C")


def npz_headers(path: Path) -> list[Declared]:
    """What the arrays of an .npz file declare, by the names given to np.savez.

    Raises Refused for a pickle and for a size that cannot be true or is above MAX_BYTES; Damaged for what is no .npz.
    """
    found = []
    with plain_errors(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS or len({info.filename for info in members}) < len(members):
            raise Refused(f"{path} holds {len(members)} arrays, or two of one name; expected a few")
        if sum(info.compress_size for info in members) > path.stat().st_size:
            raise Damaged(f"{path} declares more compressed bytes than it has")
        for info in members:
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused(f"{path}: {info.filename} is compressed in a way that numpy does not use")
            if not info.filename.endswith(".npy"):
                raise Damaged(f"{path} holds {info.filename!r}, which is not an array; expected a file of np.savez")
            with archive.open(info) as handle:
                header = _declared(path, handle, info.filename.removesuffix(".npy"))
            if header.offset + header.nbytes != info.file_size:
                raise Damaged(
                    f"{path}: {header.name} says {header.nbytes:,} bytes, but it has {info.file_size - header.offset:,}"
                )
            limit = _RATIO.get(header.dtype.kind, 100) * info.compress_size
            text = header.dtype.kind in "US" and header.dtype.itemsize > _TEXT_BYTES
            if text or header.nbytes > max(_SMALL, limit):
                raise Refused(f"{path}: {header.name} claims {header.nbytes:,} bytes out of {info.compress_size:,}")
            found.append(header)
    total = sum(header.nbytes for header in found)
    if total > MAX_BYTES:
        raise Refused(f"{path} declares {total:,} bytes, more than {MAX_BYTES:,}; save the vectors as .npy instead")
    return found


def npz_array(path: Path, header: Declared) -> np.ndarray:
    """One array of an .npz file, its checksum compared. Raises Damaged."""
    with plain_errors(path), zipfile.ZipFile(path) as archive, archive.open(f"{header.name}.npy") as handle:
        handle.read(header.offset)
        content, start = np.empty(header.nbytes, np.uint8), 0
        while start < header.nbytes:  # with the last bytes zipfile compares the checksum
            block = handle.read(min(_CHUNK, header.nbytes - start))
            if not block:
                raise EOFError(f"{header.name} is cut off")
            content[start : start + len(block)] = np.frombuffer(block, np.uint8)
            start += len(block)
        return np.ndarray(header.shape, header.dtype, content.data, order="F" if header.fortran else "C")
