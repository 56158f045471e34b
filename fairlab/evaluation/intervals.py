"""How far chance reaches: the variance over people, resampling of people, and exact bounds where nothing went wrong.

Pairs share people, so taking them for independent gives intervals several times too narrow. A rate's interval is that of
Korn & Graubard (Survey Methodology 24, 1998): Clopper-Pearson's, for as many independent pairs as would vary as much.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from fairlab.evaluation.clusters import Clusters, PairClusters

LEVEL = 0.95
CLOSEST = 0.99
"""Two rates that are estimated from people are never taken to vary more alike than that."""
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


def chance_points(by_chance: np.ndarray, fair: float) -> tuple[float, float, float]:
    """2.5 %, 50 % and 95 % points of a measure's values by chance, counted away from `fair`; NaN where unlimited."""
    away = _away(by_chance, fair)
    values = np.sort(np.where(np.isnan(by_chance), np.inf, away * (by_chance - fair)))
    if len(values) == 0:
        return (float("nan"),) * 3
    low, middle, high = (fair + away * float(values[int(share * (len(values) - 1))]) for share in (0.025, 0.5, 0.95))
    return tuple(point if np.isfinite(point) else float("nan") for point in (low, middle, high))  # type: ignore[return-value]


def share_of_chance(value: float, by_chance: np.ndarray, fair: float) -> float:
    """p of a measure: the share of values by chance that lie as far from `fair`; undefined ones do. NaN for no value.

    Where none does it is 1 / (draws + 1), which says no more than "below 1 / draws".
    """
    if not np.isfinite(value) or not np.isfinite(by_chance).any():
        return float("nan")
    away = _away(by_chance, fair)
    reached = int((np.where(np.isnan(by_chance), np.inf, away * by_chance) >= away * value).sum())
    return max(reached / len(by_chance), 1 / (len(by_chance) + 1))


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
        self.clusters = Clusters(first, second, self.genuine, len(names))
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, len(names)])))
        times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float32)
        self.weights_genuine = times[:, first[self.genuine]]
        self.weights_impostor = times[:, first[~self.genuine]] * times[:, second[~self.genuine]]

    @property
    def draws(self) -> int:
        """How many there are."""
        return len(self.weights_genuine)

    @cached_property
    def _totals(self) -> dict[bool, np.ndarray]:
        """The draws' weights of all genuine pairs, and of all impostor pairs."""
        return {True: self.weights_genuine.sum(1), False: self.weights_impostor.sum(1)}

    def narrowed(self, errors: np.ndarray, genuine: bool) -> np.ndarray:
        """As `rate`, with the spread that the rate has over people (clusters.rate_variance).

        The product of two multiplicities varies three times as much as a pair's own chance: for a list in which few pairs
        share people, plain draws spread 1.7 times too wide; for all pairs of people they are right.
        """
        redrawn = self.rate(errors, genuine)
        chosen = np.asarray(errors)[self.genuine == genuine]
        value = chosen.mean(0, dtype=np.float64) if len(chosen) else np.nan
        return np.clip(drawn_in(value, redrawn, self.clusters.rate_variance(errors, genuine)), 0, 1)

    def errors(self, match: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Redrawn FMRs and FNMRs, (draws,) or (draws, K) each, of pairs that `match` (P,) or (P, K), as `narrowed` and
        varying together as they do over people: drawing in the spread of FMRs alone would take their share of it away.
        """
        false, missed = self.narrowed(match, False), self.narrowed(~match, True)
        return correlated(false, missed, self.clusters.rate_covariance(match)), missed

    def mean_variance(self, values: np.ndarray) -> float:
        """Variance over people of the mean of a value per pair (P,), genuine and impostor pairs in their shares."""
        share = float(self.genuine.mean())
        return self.clusters.variance(np.asarray(values, dtype=np.float64) * np.where(self.genuine, share, 1 - share))

    def narrowing(
        self, values: np.ndarray, redrawn: np.ndarray, kinds: tuple[bool, ...] = (True, False), more: float = 0.0
    ) -> float:
        """The factor that gives redrawn means of values (P,), over pairs of these kinds, their spread over people; more:
        variance of another source that is to be in it.
        """
        true = more + (self.mean_variance(values) if len(kinds) == 2 else self.clusters.variance(values, kinds))
        drawn = float(np.var(redrawn[np.isfinite(redrawn)])) if np.isfinite(redrawn).any() else 0.0
        return float(np.sqrt(true / drawn)) if drawn > 0 and true > 0 else 1.0

    def rate(self, errors: np.ndarray, genuine: bool) -> np.ndarray:
        """Redrawn rates (draws,) or (draws, K) of `errors` (P,) or (P, K), over genuine or impostor pairs only.

        NaN for a single identity: nothing is known of other people.
        """
        weights = self.weights_genuine if genuine else self.weights_impostor
        chosen = np.asarray(errors)[self.genuine if genuine else ~self.genuine].astype(np.float32)
        total = self._totals[genuine] if self.identities > 1 else np.full(len(weights), np.nan)
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
        self.clusters = PairClusters(self.genuine)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, len(self.genuine)])))
        drawn = []
        for count in (int(self.genuine.sum()), int((~self.genuine).sum())):
            equal = np.full(count, 1 / max(count, 1))
            drawn.append(random.multinomial(count, equal, size=draws) if count else np.zeros((draws, 0)))
        self.weights_genuine, self.weights_impostor = (times.astype(np.float32) for times in drawn)


def drawn_in(value: np.ndarray | float, redrawn: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    """Redrawn values (draws, ...), pulled towards `value` (...) or away from it until their variance is `variance` (...)."""
    some = np.isfinite(redrawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(some, redrawn, 0).sum(0) / some.sum(0)
        spread = (np.where(some, redrawn - mean, 0) ** 2).sum(0) / some.sum(0)
        factor = np.sqrt(np.where(spread > 0, variance / np.where(spread > 0, spread, 1), 1))
    found: np.ndarray = value + factor * (redrawn - value)
    return found


def correlated(first: np.ndarray, second: np.ndarray, covariance: np.ndarray | float) -> np.ndarray:
    """Redrawn rates `first` (draws, ...), changed so that their covariance with `second` is as given (...); each keeps its
    mean and variance. As they are where either does not vary.
    """
    some = np.isfinite(first) & np.isfinite(second)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = some.sum(0)
        mean, other = (np.where(some, part, 0).sum(0) / count for part in (first, second))
        away, beside = np.where(some, first - mean, 0), np.where(some, second - other, 0)
        spread, wide = np.sqrt((away**2).sum(0) / count), np.sqrt((beside**2).sum(0) / count)
        away, beside = away / spread, beside / wide
        before, wanted = (away * beside).sum(0) / count, np.clip(covariance / (spread * wide), -CLOSEST, CLOSEST)
        kept = np.sqrt((1 - wanted**2) / (1 - before**2))
        changed = mean + spread * (kept * away + (wanted - kept * before) * beside)
    found: np.ndarray = np.where(some & np.isfinite(changed), np.clip(changed, 0, 1), first)
    return found


def variance_of(redrawn: np.ndarray) -> float:
    """Variance of redrawn values (draws,), of those that are known; NaN without any."""
    known = redrawn[np.isfinite(redrawn)]
    return float(known.var()) if len(known) else float("nan")


def percentile_interval(redrawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of redrawn values; draws without a value are left out; NaN when none has one."""
    values = redrawn[np.isfinite(redrawn)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def chance_of_none(redrawn: np.ndarray, value: float | None = None) -> float:
    """p of a difference, two-sided: how often redrawn differences lie as far from their mean as `value` from 0.

    value: the difference itself (the mean of the redrawn ones, unless given). At least 1 / (draws + 1), which says no more
    than "below 1 / draws" (`p_words`); NaN without a value. Draws are centred so that they show what chance does where
    there is no difference (Hall & Wilson, Biometrics 1991).
    """
    values = redrawn[np.isfinite(redrawn)]
    if len(values) == 0:
        return float("nan")
    away = values - values.mean()
    reached = np.abs(away) >= abs(float(values.mean()) if value is None else value) * (1 - 1e-9)
    return float((1 + reached.sum()) / (1 + len(values)))


def symmetric_interval(value: float, redrawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """`value` plus and minus what `level` of the redrawn values stay within of their mean; NaN without any.

    It excludes 0 where `chance_of_none` is below 1 - level (Hall, Biometrika 1988: such intervals cover best).
    """
    values = redrawn[np.isfinite(redrawn)]
    if len(values) == 0:
        return float("nan"), float("nan")
    reach = float(np.quantile(np.abs(values - values.mean()), level, method="higher"))
    return value - reach, value + reach


def normal_interval(value: float, variance: float, people: int) -> tuple[float, float]:
    """Of a value that is nearly normal: Student's t with as many degrees of freedom as people, less one. NaN for NaN."""
    if not (np.isfinite(value) and np.isfinite(variance)) or people < 2:
        return float("nan"), float("nan")
    reach = float(stdtrit(people - 1, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return value - reach, value + reach


def independent_pairs(rate: np.ndarray | float, variance: np.ndarray | float, people: int) -> np.ndarray:
    """How many independent pairs would vary as much: p(1-p) / variance; fewer where the variance is of few people.

    The factor (z / t)^2 makes up for a variance that is itself estimated (Korn & Graubard 1998). Infinite for variance 0.
    """
    few = float(ndtri((1 + LEVEL) / 2) / stdtrit(people - 1, (1 + LEVEL) / 2)) ** 2 if people > 1 else float("nan")
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.asarray(rate) * (1 - np.asarray(rate)) / np.asarray(variance) * few
    return found


def share_interval(
    value: float, variance: float, people: int, trials: int, most: float | None = None
) -> tuple[float, float]:
    """95 % interval of any `value` in 0..1 whose variance over so many `people` is known; NaN for NaN.

    Korn & Graubard's. Where nothing, or everything, went wrong: an exact one-sided bound for `trials` different pairs; no
    variance follows from no error, and [0, 0] would be false certainty. most: never count more pairs than that.
    """
    if np.isnan(value):
        return float("nan"), float("nan")
    if value in (0.0, 1.0):
        return clopper_pearson(int(value) * trials, trials, one_sided=True)
    if variance < 1e-20:  # whoever is drawn, it stays
        return value, value
    count = float(independent_pairs(value, variance, people))
    if not count >= 1:  # worth less than one pair: the threshold may lie anywhere
        return float("nan"), float("nan")
    count = min(count, most) if most is not None else count
    errors, tail = value * count, (1 - LEVEL) / 2
    return (
        float(betaincinv(errors, count - errors + 1, tail)),
        float(betaincinv(errors + 1, count - errors, 1 - tail)),
    )


def p_words(p: float, draws: float, factor: float = 1.0) -> str:
    """p as text: "0.031"; "< 0.001" where none of the draws showed as much; "" for none. factor: of an adjustment."""
    if not np.isfinite(p):
        return ""
    if draws and p * draws < 1:  # none or NaN: how many is not known
        return f"< {min(1.0, factor / draws):.2g}"
    return f"{min(1.0, factor * p):.3f}"


def holm(p: np.ndarray) -> np.ndarray:
    """p values (N,) adjusted for being several (Holm, Scandinavian Journal of Statistics 1979); NaN stays NaN."""
    values = np.asarray(p, dtype=np.float64)
    found, known = np.full(len(values), np.nan), np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    found[order] = np.minimum(np.maximum.accumulate(values[order] * (len(order) - np.arange(len(order)))), 1.0)
    return found
