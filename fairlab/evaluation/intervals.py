"""How far chance reaches: resampling of people, and exact bounds where nothing went wrong.

Pairs share people, so resampling pairs gives intervals several times too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import betaincinv

LEVEL = 0.95
FEW_IDENTITIES = 30
"""With fewer people an interval is only indicative."""


def clopper_pearson(errors: int, count: int, level: float = LEVEL, one_sided: bool = False) -> tuple[float, float]:
    """Exact binomial interval of a rate; one-sided: the two ends are bounds of `level` each. NaN for count 0."""
    if count == 0:
        return float("nan"), float("nan")
    tail = 1 - level if one_sided else (1 - level) / 2
    low = 0.0 if errors == 0 else float(betaincinv(errors, count - errors + 1, tail))
    high = 1.0 if errors == count else float(betaincinv(errors + 1, count - errors, 1 - tail))
    return low, high


def effective_pairs(
    errors: np.ndarray, pairs: np.ndarray, redrawn: np.ndarray, more: np.ndarray | float = 0.0
) -> np.ndarray:
    """How many independent pairs would tell as much about a rate as each group's `pairs` (G,), which share people.

    p(1-p) / variance of the `redrawn` rates (draws, G), p = errors / pairs; at most `pairs`. A group without an error
    (or with errors only) takes the smallest ratio of the others, or counts in full when there is no other. `more` (G,):
    variance of the rates from elsewhere, e.g. the seeds of trainings.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = errors / pairs
        some = np.isfinite(redrawn)
        mean = np.where(some, redrawn, 0).sum(0) / some.sum(0)
        varied = (np.where(some, redrawn - mean, 0) ** 2).sum(0) / some.sum(0) + more
        ratio = rate * (1 - rate) / varied / pairs
    known = np.isfinite(ratio) & (ratio > 0)
    ratio = np.where(known, ratio, ratio[known].min() if known.any() else 1.0)
    effective: np.ndarray = np.minimum(ratio, 1.0) * pairs
    return effective


def chance_points(by_chance: np.ndarray, fair: float) -> tuple[float, float, float]:
    """2.5 %, 50 % and 95 % points of a measure's values by chance, counted away from `fair`; NaN where unlimited."""
    away = _away(by_chance, fair)
    values = np.sort(np.where(np.isnan(by_chance), np.inf, away * (by_chance - fair)))
    if len(values) == 0:
        return (float("nan"),) * 3
    low, middle, high = (fair + away * float(values[int(share * (len(values) - 1))]) for share in (0.025, 0.5, 0.95))
    return tuple(point if np.isfinite(point) else float("nan") for point in (low, middle, high))  # type: ignore[return-value]


def spread_interval(
    value: float, redrawn: np.ndarray, by_chance: np.ndarray, fair: float, ratio: bool
) -> tuple[float, float]:
    """95 % interval of a measure of difference, which is `fair` at one end of its range and biased away from it by chance.

    Redrawing adds the same noise once more, so percentiles alone shut out the truth whenever groups are equal (0 % of
    300 simulations covered). Here the far end is the percentile, generous for that reason; the near end is its mirror
    image at `value` (in logarithms for a ratio), or `fair` itself when equal groups show as much in one draw of
    twenty. NaN where the measure or more than one draw in twenty is not defined.
    """
    if not np.isfinite(value) or len(redrawn) == 0 or np.isfinite(redrawn).mean() <= 0.95:
        return float("nan"), float("nan")
    away = _away(redrawn, fair)
    far = float(np.quantile(away * redrawn[np.isfinite(redrawn)], (1 + LEVEL) / 2)) * away
    far = max(far, value) if away > 0 else min(far, value)
    near = value * value / far if ratio else 2 * value - far
    near = max(near, fair) if away > 0 else min(near, fair)
    limit = chance_points(by_chance, fair)[2]
    if not away * value > away * limit:  # also when chance sets no limit
        near = fair
    return (near + 0.0, far + 0.0) if away > 0 else (far + 0.0, near + 0.0)  # -0.0 + 0.0 is 0.0


def _away(values: np.ndarray, fair: float) -> int:
    """The direction in which a measure leaves its fair value: 1 up, -1 down (FDR)."""
    known = values[np.isfinite(values)]
    return -1 if len(known) and np.median(known) < fair else 1


class IdentityBootstrap:
    """Draws of the people in one group, and what they make of each pair's weight.

    A drawn multiset of identities weighs a genuine pair by its identity's multiplicity and an impostor pair by the
    product of its two identities' (vertex bootstrap; Fogliato et al., IJCV 2024, arXiv 2306.01198). `identity_a`,
    `identity_b`, `genuine` are (P,); weights are (draws, pairs), kept apart for genuine and impostor pairs.
    """

    def __init__(
        self, identity_a: np.ndarray, identity_b: np.ndarray, genuine: np.ndarray, draws: int, seed: int
    ) -> None:
        names, codes = np.unique(np.concatenate([identity_a, identity_b]), return_inverse=True)
        first, second = codes[: len(identity_a)], codes[len(identity_a) :]
        self.identities, self.genuine = len(names), np.asarray(genuine, dtype=bool)
        self.people = first, second
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, len(names)])))
        times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float32)
        self.weights_genuine = times[:, first[self.genuine]]
        self.weights_impostor = times[:, first[~self.genuine]] * times[:, second[~self.genuine]]

    @property
    def draws(self) -> int:
        """How many there are."""
        return len(self.weights_genuine)

    def narrowing(self, values: np.ndarray, redrawn: np.ndarray, kinds: Sequence[bool] = (True, False)) -> float:
        """By how much the redrawn means of values (P,) over pairs of these kinds spread too wide: a factor of 1/sqrt(3)..1.

        A product of two multiplicities varies three times as much as the pair's own chance, so that of a list in which
        few pairs share people the draws make three times the variance. The true one is that of pairs and of what they
        share, sum over people (sum of their pairs)^2 - sum over strangers' pairs, which stand there twice (dyadic
        clusters; Aronow, Samii & Assenova, Political Analysis 2015).
        """
        of = np.isin(self.genuine, kinds)
        share = np.zeros(len(values))
        for kind in kinds:
            some = self.genuine == kind
            share[some] = values[some] - values[some].mean() if some.any() else 0.0
        share /= max(int(of.sum()), 1)
        first, second = self.people
        other = ~self.genuine
        by_person = np.bincount(first, share, self.identities)
        by_person += np.bincount(second[other], share[other], self.identities)
        true = float((by_person**2).sum() - (share[other] ** 2).sum()) * self.identities / max(self.identities - 1, 1)
        drawn = float(np.var(redrawn[np.isfinite(redrawn)])) if np.isfinite(redrawn).any() else 0.0
        return float(np.sqrt(np.clip(true / drawn, 1 / 3, 1))) if drawn > 0 and true > 0 else 1.0

    def rate(self, errors: np.ndarray, genuine: bool) -> np.ndarray:
        """Redrawn rates (draws,) or (draws, K) of `errors` (P,) or (P, K), over genuine or impostor pairs only.

        NaN for a single identity: nothing is known of other people.
        """
        weights = self.weights_genuine if genuine else self.weights_impostor
        chosen = np.asarray(errors)[self.genuine if genuine else ~self.genuine].astype(np.float32)
        total = weights.sum(1) if self.identities > 1 else np.full(len(weights), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            redrawn: np.ndarray = (weights @ chosen) / (total if chosen.ndim == 1 else total[:, None])
        return redrawn

    def auc(self, scores: np.ndarray) -> np.ndarray:
        """Redrawn areas under the ROC (draws,): Mann-Whitney with weighted pairs, ties one half; NaN without either kind."""
        impostors, genuine = scores[~self.genuine], scores[self.genuine]
        order = np.argsort(impostors, kind="stable")
        left, right = (np.searchsorted(impostors[order], genuine, side=side) for side in ("left", "right"))
        # Sums of whole numbers: single precision holds them exactly up to 2^24, at half the memory.
        exact = np.float32 if float(self.weights_impostor.sum(1).max(initial=0)) < 2**24 else np.float64
        below = np.zeros((self.draws, len(impostors) + 1), dtype=exact)
        np.cumsum(self.weights_impostor[:, order], axis=1, out=below[:, 1:], dtype=exact)
        both = [below[:, at] for at in ((left,) if np.array_equal(left, right) else (left, right))]
        won = sum(np.einsum("dg,dg->d", self.weights_genuine, at, dtype=np.float64) for at in both) / len(both)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas: np.ndarray = won / (self.weights_genuine.sum(1) * self.weights_impostor.sum(1))
        return areas

    def eer(self, scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Redrawn equal error rates (draws,): (FMR + FNMR) / 2 at the one of `thresholds` (T,) where they are nearest."""
        accepted = scores[:, None] >= thresholds[None, :]
        fmr, fnmr = self.rate(accepted, False), self.rate(~accepted, True)
        gap = np.where(np.isfinite(fmr) & np.isfinite(fnmr), np.abs(fmr - fnmr), np.inf)
        best = gap.argmin(1)
        rows = np.arange(len(best))
        rates: np.ndarray = (fmr[rows, best] + fnmr[rows, best]) / 2
        return rates

    def d_prime(self, scores: np.ndarray) -> np.ndarray:
        """Redrawn d' (draws,) of the scores (P,); NaN where a draw has no spread or lacks a kind."""
        centred = scores - scores.mean()  # sums of squares are in single precision
        kinds = [(self.rate(centred, kind), self.rate(centred**2, kind)) for kind in (True, False)]
        spread = np.sqrt(np.maximum(sum(square - mean**2 for mean, square in kinds), 0) / 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            distances: np.ndarray = np.where(spread > 0, (kinds[0][0] - kinds[1][0]) / spread, np.nan)
        return distances

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Redrawn means (draws,) of a value per pair, with genuine and impostor pairs in their original shares."""
        share = float(self.genuine.mean())
        parts = [weight * self.rate(values, kind) for weight, kind in ((share, True), (1 - share, False)) if weight > 0]
        total: np.ndarray = np.sum(parts, axis=0)
        return total


class PairBootstrap(IdentityBootstrap):
    """Draws of single pairs, for scores that come without identities. Pairs that share people make its intervals too
    narrow, several times where everybody is compared with everybody: whoever uses it says so.
    """

    def __init__(self, genuine: np.ndarray, draws: int, seed: int) -> None:
        self.genuine = np.asarray(genuine, dtype=bool)
        self.identities = len(self.genuine)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, len(self.genuine)])))
        drawn = []
        for count in (int(self.genuine.sum()), int((~self.genuine).sum())):
            equal = np.full(count, 1 / max(count, 1))
            drawn.append(random.multinomial(count, equal, size=draws) if count else np.zeros((draws, 0)))
        self.weights_genuine, self.weights_impostor = (times.astype(np.float32) for times in drawn)

    def narrowing(self, values: np.ndarray, redrawn: np.ndarray, kinds: Sequence[bool] = (True, False)) -> float:
        """1: single pairs are drawn as they vary."""
        return 1.0


def percentile_interval(redrawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of redrawn values; draws without a value are left out; NaN when none has one."""
    values = redrawn[np.isfinite(redrawn)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def defined_interval(value: float, redrawn: np.ndarray) -> tuple[float, float]:
    """Percentile interval of a measure, none where the measure or more than one draw in twenty is not defined.

    An interval from the few draws in which a measure exists would be of another quantity.
    """
    known = np.isfinite(value) and np.isfinite(redrawn).mean() > 0.95
    return percentile_interval(redrawn) if known else (float("nan"), float("nan"))


def chance_of_none(redrawn: np.ndarray) -> float:
    """p of a difference, two-sided: how often chance alone would show as much; NaN without a value.

    The share of redrawn differences on the other side of zero, twice; never 0, as the number of draws is finite.
    """
    values = redrawn[np.isfinite(redrawn)]
    if len(values) == 0:
        return float("nan")
    return float(min(1.0, 2 * (1 + min((values <= 0).sum(), (values >= 0).sum())) / (1 + len(values))))


def rate_interval(errors: int, count: int, redrawn: np.ndarray, trials: int | None = None) -> tuple[float, float]:
    """Interval of an error rate: percentiles of its redrawn values; no error (or only errors): an exact one-sided bound.

    Redrawing cannot make an error that was never seen, so [0, 0] would be false certainty. trials: how many of the
    `count` are different pairs (all, unless said), for the bound.
    """
    return share_interval(errors / count if count else float("nan"), count if trials is None else trials, redrawn)


def share_interval(value: float, count: int, redrawn: np.ndarray) -> tuple[float, float]:
    """As `rate_interval`, for any `value` in 0..1 that behaves like a share of `count` independent trials; NaN for NaN."""
    if np.isnan(value):
        return float("nan"), float("nan")
    if value in (0.0, 1.0):
        return clopper_pearson(int(value) * count, count, one_sided=True)
    return percentile_interval(redrawn)
