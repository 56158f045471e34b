"""Whether the same images have the same neighbours in two spaces: overlap, same-person rank, and means over people.

Overlap of an image: |A and B| / |A or B| (Jaccard, 1912) of its k nearest neighbours before and after. The means' 95 %
intervals are over people, whose images are one cluster each; the images that are searched stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from fairlab.evaluation.cka import linear_cka
from fairlab.evaluation.intervals import normal_interval, share_interval
from fairlab.tables import ALL_GROUPS, MOVED_NUMBERS

TIED = 5e-7
"""Two cosines that differ by less are equal but for rounding in single precision."""
NOBODY = -1
"""In place of an image: there is none."""
MEASURES = {
    "overlap": "Neighbours in common",
    "same_before": "Nearest is the same person, before",
    "same_after": "Nearest is the same person, after",
    "same_change": "Change of the nearest",
    "cka": "CKA",
}
"""Measures by the name they are shown under. overlap: mean Jaccard overlap; same_before, same_after: share of images whose
nearest other image shows the same person, of those whose person has another image; same_change: after minus before;
cka: cka.linear_cka."""


@dataclass(frozen=True)
class Near:
    """What a search found of Q images: neighbours (Q, depth), nearest first, as places among the searched images, NOBODY
    where there are fewer, with cosines (Q, depth). The image itself is not among them."""

    places: np.ndarray
    cosines: np.ndarray

    def first(self, count: int) -> Near:
        """The nearest `count` of them."""
        return Near(self.places[:, :count], self.cosines[:, :count])

    def tied(self, k: int) -> np.ndarray:
        """(Q,) bool: is the k-th neighbour as near as the next, so that it could as well be another?"""
        if self.cosines.shape[1] <= k:
            return np.zeros(len(self.cosines), dtype=bool)
        found: np.ndarray = np.abs(self.cosines[:, k - 1] - self.cosines[:, k]) < TIED
        return found & (self.places[:, k] != NOBODY)


def jaccard(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(Q,) overlap 0..1 of two sets of neighbours per row, (Q, k) each without repetition; NOBODY is no neighbour.

    NaN where both are empty.
    """
    both = np.sort(np.concatenate([before, after], axis=1), axis=1)
    common = ((both[:, 1:] == both[:, :-1]) & (both[:, 1:] != NOBODY)).sum(1)
    some = (before != NOBODY).sum(1) + (after != NOBODY).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap: np.ndarray = common / (some - common)
    return overlap


def overlap_by_chance(k: int, others: int) -> float:
    """Mean overlap of two sets of k neighbours drawn at random among so many others: hypergeometric. NaN for k > others."""
    if k > others:
        return float("nan")
    common = np.arange(k + 1)
    return float((hypergeom.pmf(common, others, k, k) * common / (2 * k - common)).sum())


def overlaps(before: Near, after: Near, k: int) -> np.ndarray:
    """(Q,) overlap of the k nearest, NaN where a tie leaves open who they are."""
    found = jaccard(before.places[:, :k], after.places[:, :k])
    return np.where(before.tied(k) | after.tied(k), np.nan, found)


def same_person_rank(near: Near, own: np.ndarray, whose: np.ndarray) -> np.ndarray:
    """(Q,) rank, from 1, of the nearest neighbour of the same person; depth + 1 where none is among the neighbours.

    own (Q,): the person of each image; whose (M,): of each searched image. A tie with another person counts against it.
    """
    there = near.places != NOBODY
    same = (whose[near.places] == own[:, None]) & there
    best = np.where(same, near.cosines, -np.inf).max(1)
    others = (there & ~same & (near.cosines > best[:, None] - TIED)).sum(1)
    return np.where(same.any(1), others + 1, same.shape[1] + 1)


def numbers(
    images: pd.DataFrame, before: np.ndarray, after: np.ndarray, why: Mapping[str, str], seed: int = 0
) -> pd.DataFrame:
    """MOVED_NUMBERS of measured images (MOVED_IMAGES, N rows) with their vectors before (N, D) and after (N, E).

    why: the reasons where no image has an "overlap" or a "rank". One row of each measure for all, then for every group
    where there are several. seed: of the parts of people whom the interval of CKA leaves out.
    """
    rows = []
    for group, at in _parts(images["group"].to_numpy(dtype=str)):
        part = images.iloc[at]
        people = part["identity"].to_numpy(dtype=str)
        rows += [_row(group, item) for item in _means(part, people, why)]
        alike = linear_cka(before[at], after[at], people, seed)
        counts = len(at), len(np.unique(people))
        rows.append((group, "cka", alike.value, alike.low, alike.high, *counts, alike.reason))
    return MOVED_NUMBERS.build(rows)


def _parts(groups: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    names = np.unique(groups)
    yield ALL_GROUPS, np.arange(len(groups))
    for name in names if len(names) > 1 else ():
        yield str(name), np.flatnonzero(groups == name)


@dataclass(frozen=True)
class _Mean:
    """A measure: its value per image (N,), each image's person, whether it is a share 0..1, and why there is none."""

    measure: str
    values: np.ndarray
    people: np.ndarray
    share: bool
    reason: str


def _means(part: pd.DataFrame, people: np.ndarray, why: Mapping[str, str]) -> Iterator[_Mean]:
    overlap = part["overlap"].to_numpy(np.float64)
    known = np.isfinite(overlap)
    tied = "each image has more neighbours at equal distance than are counted"
    yield _Mean("overlap", overlap[known], people[known], True, "" if known.any() else why.get("overlap", tied))
    known = part[["rank_before", "rank_after"]].notna().all(axis=1).to_numpy()
    first, then = ((part[f"rank_{side}"][known] == 1).to_numpy(np.float64) for side in ("before", "after"))
    reason = "" if known.any() else why.get("rank", "no person here has a second image")
    yield _Mean("same_before", first, people[known], True, reason)
    yield _Mean("same_after", then, people[known], True, reason)
    yield _Mean("same_change", then - first, people[known], False, reason)


def _row(group: str, mean: _Mean) -> tuple[str, str, float, float, float, int, int, str]:
    """The mean over images with its interval over people."""
    names, whose = np.unique(mean.people, return_inverse=True)
    count, images = len(names), len(mean.values)
    if mean.reason:
        return group, mean.measure, np.nan, np.nan, np.nan, images, count, mean.reason
    value = float(mean.values.mean())
    if count < 2:
        return group, mean.measure, value, np.nan, np.nan, images, count, "no interval: one person"
    variance = variance_over_people(mean.values, whose)
    if mean.share:
        low, high = share_interval(value, variance, count, count)
    else:
        low, high = (float(np.clip(end, -1, 1)) for end in normal_interval(value, variance, count))
    return group, mean.measure, value, low, high, images, count, ""


def variance_over_people(values: np.ndarray, whose: np.ndarray) -> float:
    """Variance of the mean of values (N,), of which those of one person, whose (N,) int from 0, depend on each other.

    The sum over people of (sum of their deviations)^2 / N^2, times P / (P - 1): Cochran, Sampling Techniques, 1977, eq. 11.12.
    """
    count = int(whose.max()) + 1
    sums = np.bincount(whose, values - values.mean(), count)
    return float((sums**2).sum()) / len(values) ** 2 * count / (count - 1)


def most_moved(table: pd.DataFrame) -> pd.DataFrame:
    """Those of MOVED_IMAGES with an overlap, least first; of equal ones those whose same-person rank changed most."""
    known = table[table["overlap"].notna()]
    change = (known["rank_after"] - known["rank_before"]).abs().fillna(0).to_numpy(np.int64)
    order = np.lexsort((known["image_id"].to_numpy(), -change, known["overlap"].to_numpy()))
    return known.iloc[order]


def extent(facts: Mapping[str, Any]) -> str:
    """What a measurement rests on, in a sentence or two; facts: store.moved.MovedFile."""
    k, measured, of = facts["k"], facts["measured"], facts["of"]
    cut = facts.get("cut", 0)
    part = f", but {cut:,} in part" if cut else ""
    drawn = "" if measured == of else f", drawn with all their images{part}"
    said = f"Measured on {measured:,} of {of:,} images of {facts['people']:,} people{drawn}; {k} nearest neighbours among all."
    if facts["chance"] is not None:
        said += f" Neighbours drawn at random would have an overlap of {facts['chance']:.2g}."
    if facts["tied"]:
        said += f" {facts['tied']:,} images are left out: others are as near as their neighbours."
    return said


def rank_text(rank: Any, depth: int) -> str:
    """A same-person rank as text: "> 100" beyond the depth of the search, "none" without another image of the person."""
    if pd.isna(rank):
        return "none"
    return f"> {depth}" if rank > depth else str(rank)
