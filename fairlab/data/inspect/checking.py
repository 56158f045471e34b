"""Looking at every image once before a data set is believed: readable? how large? seen before?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pandas as pd

from fairlab.data.decode import decode, describe
from fairlab.data.pixels import THREADS
from fairlab.errors import Damaged
from fairlab.tables import BOOL, TEXT, WHOLE, Table

LOOKED_AT = Table(row=WHOLE, readable=BOOL, bytes=WHOLE, width=WHOLE, height=WHOLE, mode=TEXT, hash=WHOLE, fault=TEXT)
"""A row is a looked-at image. bytes: of the encoded image; hash: 64 bits of its BLAKE2b (int64); fault: why it cannot
be read, or ""."""
CHUNK = 2000


def look(
    read: Callable[[int], bytes], name: Callable[[int], str], row: int
) -> tuple[int, bool, int, int, int, str, int, str]:
    """One image, decoded to the last pixel: a row of LOOKED_AT."""
    try:
        data = read(row)
        width, height, mode = describe(data, name(row))
        decode(data, name(row))
    except (Damaged, OSError) as error:
        return row, False, 0, 0, 0, "", 0, str(error)
    return row, True, len(data), width, height, mode, fingerprint_of(data), ""


def fingerprint_of(content: bytes) -> int:
    """64 bits of the BLAKE2b of an encoded image, signed."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def look_at(rows: np.ndarray, read: Callable[[int], bytes], name: Callable[[int], str]) -> Iterator[pd.DataFrame]:
    """All `rows` in chunks of CHUNK, decoded by threads: tables of LOOKED_AT."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = iter(rows.tolist())
        while chunk := list(islice(waiting, CHUNK)):
            yield LOOKED_AT.build(pool.map(lambda row: look(read, name, row), chunk))


def sample(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` rows, evenly spread, rising."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)) if count else np.zeros(0, np.int64)
