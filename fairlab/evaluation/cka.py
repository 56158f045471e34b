"""How alike two spaces are as a whole: linear CKA of the same images' embeddings, with an interval over people.

Kornblith, Norouzi, Lee & Hinton, ICML 2019, section 3 (the number); Song, Smola, Gretton, Bedo & Borgwardt, JMLR 13, 2012,
HSIC_1 (the unbiased HSIC, which Nguyen, Raghu & Kornblith, ICLR 2021, take too: with the biased one few images in many
dimensions look alike by chance). A linear kernel needs no N x N matrix: all follows from sums over the images, so that N
may be a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from fairlab.evaluation.intervals import LEVEL

BLOCKS = 50
"""Parts of the people that are left out one after the other."""
LEAST_PEOPLE = 10
"""With fewer people no interval follows."""
LEAST_IMAGES = 4
"""The unbiased HSIC is defined from here on."""
ROWS_AT_ONCE = 16_384
SPREAD = 1e-9
"""A mean square from the mean below that is rounding: all vectors are equal."""


@dataclass(frozen=True)
class Cka:
    """value: 1 = alike but for turning and scale, about 0 = unrelated (below 0 by chance); low, high: 95 % interval; NaN
    where reason says why."""

    value: float
    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True)
class _Sums:
    """Sums over n images, vectors x (n, D) and y (n, E) moved so that the mean is 0, and squares a = |x|^2, b = |y|^2."""

    n: float
    x: np.ndarray
    y: np.ndarray
    xy: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xa: np.ndarray
    xb: np.ndarray
    ya: np.ndarray
    yb: np.ndarray
    squares: np.ndarray
    """(2, 2): sums of a a, a b, b a, b b."""
    lengths: np.ndarray
    """(2,): sums of a and of b."""

    def __sub__(self, other: _Sums) -> _Sums:
        return _Sums(**{name: value - getattr(other, name) for name, value in vars(self).items()})

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def hsic(self, one: int, other: int) -> float:
        """The unbiased HSIC of the linear kernels of space `one` and `other` (0: x, 1: y)."""
        n = self.n
        totals = (self.x, self.y)
        cross = ((self.xx, self.xy), (self.xy.T, self.yy))[one][other]
        weighed = ((self.xa, self.xb), (self.ya, self.yb))
        diagonal = float(self.squares[one, other])
        trace = float((cross**2).sum()) - diagonal
        ones = [float(totals[side] @ totals[side]) - float(self.lengths[side]) for side in (one, other)]
        product = float(totals[one] @ cross @ totals[other]) - float(totals[one] @ weighed[one][other])
        product += diagonal - float(totals[other] @ weighed[other][one])
        both = ones[0] * ones[1] / ((n - 1) * (n - 2))
        return (trace + both - 2 * product / (n - 2)) / (n * (n - 3))

    def cka(self) -> float:
        """NaN where a space has no spread."""
        own = self.hsic(0, 0), self.hsic(1, 1)
        return self.hsic(0, 1) / float(np.sqrt(own[0] * own[1])) if min(own) > 0 else float("nan")


def linear_cka(before: np.ndarray, after: np.ndarray, people: np.ndarray, seed: int = 0) -> Cka:
    """Debiased linear CKA of the same images in two spaces.

    before (N, D), after (N, E): embeddings, row i of both is image i; people (N,): whose image it is. The interval is a
    delete-a-group jackknife over people (Kott, Journal of Official Statistics 17, 2001) on Fisher's z of the number, with
    BLOCKS parts of the people or as many as there are people. Drawing people with repetition would not do: two copies
    of an image are alike in both spaces. The memory needed is 24 (D + E)^2 bytes.
    """
    fault = _fault(before, after)
    if fault:
        return Cka(np.nan, np.nan, np.nan, fault)
    centres = _mean(before), _mean(after)
    whose = np.unique(people, return_inverse=True)[1]
    count = int(whose.max()) + 1
    parts = min(BLOCKS, count)
    part_of = np.random.Generator(np.random.PCG64(seed)).permutation(count) % parts
    total = _sum_of(before, after, np.arange(len(before)), centres)
    value = total.cka()
    if not np.isfinite(value):
        return Cka(np.nan, np.nan, np.nan, f"{len(before):,} images are too few to tell this space's shape from chance")
    if count < LEAST_PEOPLE:
        return Cka(value, np.nan, np.nan, f"no interval: {count} people, and it needs {LEAST_PEOPLE}")
    without = np.array([(total - part).cka() for part in _parts(before, after, part_of[whose], parts, centres)])
    low, high = _jackknife(value, without)
    return Cka(value, low, high, "" if np.isfinite(low) else "no interval: too few images without a part of the people")


def _fault(before: np.ndarray, after: np.ndarray) -> str:
    """Why there is no number, "" where there is one."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} embeddings are not of the same images")
    if len(before) < LEAST_IMAGES:
        return f"it needs {LEAST_IMAGES} images, and there are {len(before)}"
    for vectors, name in ((before, "first"), (after, "second")):
        if spread_of(vectors) < SPREAD:
            return f"all vectors of the {name} space are equal"
    return ""


def _mean(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(sum(np.sum(part, axis=0, dtype=np.float64) for part in _pieces(vectors)) / len(vectors))


def spread_of(vectors: np.ndarray) -> float:
    """Mean square of the distance of vectors (N, D) from their mean; below SPREAD they are all equal."""
    centre = _mean(vectors)
    return float(sum(((part - centre) ** 2).sum() for part in _pieces(vectors)) / len(vectors))


def _pieces(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        yield vectors[start : start + ROWS_AT_ONCE].astype(np.float64)


def _parts(
    before: np.ndarray, after: np.ndarray, part: np.ndarray, parts: int, centres: tuple[np.ndarray, np.ndarray]
) -> Iterator[_Sums]:
    order = np.argsort(part, kind="stable")
    ends = np.cumsum(np.bincount(part, minlength=parts))
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        yield _sum_of(before, after, np.sort(order[start:end]), centres)


def _sum_of(before: np.ndarray, after: np.ndarray, rows: np.ndarray, centres: tuple[np.ndarray, np.ndarray]) -> _Sums:
    """The sums over these rows. HSIC does not change when a space is moved; small numbers keep their digits."""
    sums = None
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chosen = rows[start : start + ROWS_AT_ONCE]
        x, y = before[chosen] - centres[0], after[chosen] - centres[1]
        a, b = (x**2).sum(1), (y**2).sum(1)
        both = np.stack([a, b])
        part = _Sums(
            float(len(x)), x.sum(0), y.sum(0), x.T @ y, x.T @ x, y.T @ y, a @ x, b @ x, a @ y, b @ y,
            both @ both.T, both.sum(1),
        )  # fmt: skip
        sums = part if sums is None else sums + part
    assert sums is not None, "there are rows"
    return sums


def _jackknife(value: float, without: np.ndarray) -> tuple[float, float]:
    """95 % interval from the values without each part (G,), with Student's t of G - 1 degrees of freedom."""
    most = 1 - 1e-12
    if value >= most:  # alike but for turning and scale, whoever is left out
        return value, value
    scaled = np.arctanh(np.clip(without, -most, most))
    parts = len(scaled)
    variance = (parts - 1) / parts * float(((scaled - scaled.mean()) ** 2).sum())
    reach = float(stdtrit(parts - 1, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    middle = float(np.arctanh(np.clip(value, -most, most)))
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))
