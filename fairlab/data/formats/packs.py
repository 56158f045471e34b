"""Verification packs `<name>.bin`: the pickle of a list of 2N encoded images and a list of N flags.

Pair i is images 2i and 2i+1; a flag tells genuine from impostor; the order carries the folds. Written by
insightface's tools in Python 2 or 3, images as bytes or as the uint8 arrays that cv2.imencode returns. The pickle
is never run (see fairlab.data.formats.pickles): opening finds out where in the file every image lies, and no image stays
in memory. Images are as the file has them: some very old packs are said to hold swapped colour channels
(insightface issues 467, 524), which only an eye can tell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fairlab.data.formats.pickles import Array, Forbidden, Kind, Span, Unreadable, read_pickle
from fairlab.errors import Damaged, FairLabError, Refused

FOLDS = 10
MAX_PACK_BYTES = 4 << 30
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
STARTS = (_JPEG, _PNG, b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""First bytes of the formats that are decoded."""
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"


@dataclass(frozen=True, eq=False)
class Pack:
    """The pairs of a pack and where its images lie; some 200 bytes of memory per image, whatever the file's size.

    genuine: (N,) bool. folds: (N,) int64, or None when there are fewer than ten pairs. problems: sentences about
    what is odd but can be read. spans: 2N places in the file, None where there is no image. stamp: size in bytes and mtime
    in ns of that file. faults: row -> what is there instead of an image.
    """

    path: Path
    genuine: np.ndarray
    folds: np.ndarray | None
    problems: tuple[str, ...]
    spans: tuple[Span | None, ...]
    stamp: tuple[int, int]
    faults: Mapping[int, str]

    def __len__(self) -> int:
        """The number of pairs, N."""
        return len(self.genuine)

    def read(self, row: int) -> bytes:
        """The encoded image of row 0..2N-1; pair i is rows 2i and 2i+1.

        Opens the file anew each time, so that threads and forked workers do not share a position. Raises
        FairLabError when there is no such row or the file cannot be read, Damaged when it has changed or has no image there.
        """
        if not 0 <= row < len(self.spans):
            raise FairLabError(f"{self.path} has no image {row}; they are numbered 0 to {len(self.spans) - 1}")
        try:
            with open(self.path, "rb", buffering=0) as file:
                if _stamp(file.fileno()) != self.stamp:
                    raise Damaged(f"{self.path} has changed since it was opened; open it again")
                span = self.spans[row]
                if span is None:
                    raise Damaged(f"entry {row} of {self.path} is not an image: {self.faults[row]}")
                return span.read(file)
        except OSError as error:
            raise FairLabError(f"could not read {self.path}: {error.strerror or error}") from error
        except Unreadable as error:
            raise Damaged(f"{self.path} is damaged: {error}") from error


def open_pack(path: Path) -> Pack:
    """Find images and flags of a pack; what does not begin as an image begins is among its faults.

    Folds are ten contiguous blocks in file order; when ten does not divide N, the first N mod 10 blocks have one
    pair more, as in sklearn's KFold, with which insightface evaluates packs. Raises Refused when the pickle wants
    anything but images and flags, Damaged when it is no pack, FairLabError when the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            stamp = _stamp(file.fileno())
            if stamp[0] == 0:
                raise Damaged(f"{path} is empty; a verification pack is a pickle of images and flags")
            if stamp[0] > MAX_PACK_BYTES:
                raise Refused(f"{path} has {stamp[0]:,} bytes; the limit is {MAX_PACK_BYTES:,} bytes")
            content, rest = read_pickle(file, stamp[0])
            images, flags = _two_lists(content)
            genuine = _flags(file, flags)
            spans, cut, faults = _images(file, images, len(genuine))
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    except Forbidden as error:
        raise Refused(f"{path} is refused: {error}; a verification pack holds only images and flags") from error
    except Unreadable as error:
        raise Damaged(
            f"{path} is not a verification pack: {error}; expected the pickle of 2N images and N flags"
        ) from error
    folds, problems = _folds(genuine)
    if rest:
        problems.append(f"{rest:,} bytes after the end of the pickle are ignored")
    if cut:
        problems.append(f"{cut} images lack the end marker of JPEG or PNG; they may be cut off")
    same = sum(a is not None and a == b for a, b in zip(spans[::2], spans[1::2], strict=True))
    if same:
        problems.append(f"{same} pairs compare an image with itself")
    return Pack(path, genuine, folds, tuple(problems), tuple(spans), stamp, faults)


def _stamp(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns


def _two_lists(content: Any) -> tuple[Any, Any]:
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise Unreadable(f"it holds {_say(content)}, not two lists")
    images, flags = content
    if not isinstance(images, (tuple, list)):
        raise Unreadable(f"its images are {_say(images)}, not a list")
    if not isinstance(flags, (tuple, list, Array)):
        raise Unreadable(f"its flags are {_say(flags)}, not a list")
    return images, flags


def _flags(file: BinaryIO, flags: Any) -> np.ndarray:
    """(N,) bool from a list of bool, 0/1 and numpy scalars, or from one numpy array."""
    if isinstance(flags, Array):
        values: list[Any] = flags.numbers(file)
    else:
        values, known = [], {}  # numpy's True is written once and named again
        for flag in flags:
            if isinstance(flag, Array) and flag.shape == ():
                if id(flag) not in known:
                    known[id(flag)] = flag.numbers(file)[0]
                flag = known[id(flag)]
            values.append(flag)
    for pair, value in enumerate(values):
        if not isinstance(value, int) or value not in (0, 1):
            raise Unreadable(f"the flag of its pair {pair} is {_say(value)}, not True or False")
    return np.array(values, dtype=bool)


def _images(file: BinaryIO, images: Any, pairs: int) -> tuple[list[Span | None], int, dict[int, str]]:
    """(the 2N places of the images, how many JPEGs and PNGs do not end as such files end, row -> what is no image).

    Raises Unreadable when the lists have other lengths, or when most entries are no images: then it is no pack.
    """
    if len(images) != 2 * pairs or pairs == 0:
        raise Unreadable(f"it has {len(images)} images and {pairs} flags")
    seen: dict[
        Span, tuple[int, bool, str]
    ] = {}  # a hostile pickle may name one buffer a million times: it is read once
    spans: list[Span | None] = []
    cut, faults = 0, {}
    for row, image in enumerate(images):
        length = None
        try:
            if isinstance(image, Array):
                if image.kind is None or image.kind.code != "u1":
                    raise Unreadable(f"{_say(image)}, not of uint8")
                image, length = image.flat()
            if not isinstance(image, Span) or image.text:
                raise Unreadable(f"{_say(image)}, not bytes")
            if image not in seen:
                start, end, size = _ends(file, image)
                seen[image] = size, _is_cut(start, end), "" if start.startswith(STARTS) else _begins(start, size)
            size, short, fault = seen[image]
            if fault:
                raise Unreadable(fault)
            if length not in (None, size):
                raise Unreadable(f"an array of {length} bytes with a buffer of {size}")
        except Unreadable as error:
            faults[row] = str(error)
            spans.append(None)
            continue
        spans.append(image)
        cut += short
    if 2 * len(faults) > len(images):
        row, fault = next(iter(faults.items()))
        raise Unreadable(f"{len(faults)} of its {len(images)} entries are not images, e.g. entry {row}: {fault}")
    return spans, cut, faults


def _is_cut(start: bytes, end: bytes) -> bool:
    ends = _JPEG_END if start.startswith(_JPEG) else _PNG_END if start.startswith(_PNG) else b""
    return not end.endswith(ends)


def _begins(start: bytes, size: int) -> str:
    return f"{size:,} bytes that begin with {start!r}, neither JPEG nor PNG nor WebP, BMP or TIFF" if size else "empty"


def _ends(file: BinaryIO, span: Span) -> tuple[bytes, bytes, int]:
    """(first bytes, last bytes, length) of an image; escaped ones are decoded whole, to know that they can be."""
    if span.coding != "raw":
        content = span.read(file)
        return content[:8], content[-8:], len(content)
    few = min(8, span.length)
    start = replace(span, length=few).read(file)
    return start, replace(span, start=span.start + span.length - few, length=few).read(file), span.length


def _folds(genuine: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """((N,) fold of every pair, or None; what is odd about them)."""
    count, problems = len(genuine), []
    if count < FOLDS:
        return None, [f"{count} pairs are too few for {FOLDS} folds"]
    sizes = np.full(FOLDS, count // FOLDS)
    sizes[: count % FOLDS] += 1
    folds = np.repeat(np.arange(FOLDS, dtype=np.int64), sizes)
    if count % FOLDS:
        problems.append(
            f"{count} pairs do not divide into {FOLDS} equal folds: the first {count % FOLDS} have one extra pair"
        )
    share = np.bincount(folds, genuine) / sizes
    single = np.flatnonzero((share == 0) | (share == 1))
    if len(single):
        problems.append(
            f"{len(single)} of {FOLDS} folds hold only genuine or only impostor pairs; are the pairs sorted?"
        )
    return folds, problems


def _say(value: Any) -> str:
    """A value in a few words, however large it is."""
    match value:
        case None | bool() | int():
            return str(value)
        case list() | tuple():
            return f"a {type(value).__name__} of {len(value)}"
        case Span():
            return "text" if value.text else "a byte string"
        case Array(kind=Kind(code)):
            return f"a numpy array of {code!r}"
    return "a name or type"
