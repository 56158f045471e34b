"""Folds for pairs that come without: ten, the same ones every time, as alike as can be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

FOLDS = 10


def spread_folds(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], groups: np.ndarray, genuine: np.ndarray
) -> np.ndarray:
    """(P,) folds 0..k-1, k at most ten. first, second (P,): rows of the pairs' identities in `names`; groups (P,): codes.

    All comparisons of the same two people are in one fold; the pairs of a group are divided evenly, genuine and impostor
    each for themselves. The folds hang on the names alone (a hash), not on the order of rows or of the two images.
    """
    hashes = np.array([_hash(name) for name in names], np.uint64)
    people = hashes[first] + hashes[second]  # of the two in either order; wraps around
    folds = np.zeros(len(first), np.int64)
    for group in np.unique(groups):
        for truth in (True, False):
            rows = np.flatnonzero((groups == group) & (genuine == truth))
            _, who, counts = np.unique(people[rows], return_inverse=True, return_counts=True)
            middle = np.cumsum(counts) - counts / 2  # of each two people's stretch
            folds[rows] = (FOLDS * middle / max(len(rows), 1)).astype(np.int64)[who]
    return np.unique(folds, return_inverse=True)[1].astype(np.int64)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
