"""One model trained several times, with different seeds: the mean training's numbers, and how far chance reaches.

Two things vary by chance, the people of the test set and the seed of the training; both are drawn anew. People: as for
one run, the same draws for all models and seeds (IdentityBootstrap). Seeds: `seed_draws`, which widens by Student's t,
because drawing three seeds out of three again and again (percentiles) covers the truth in 3 of 4 cases only.
The two parts are added, which is on the safe side: what a seed makes of single people counts in both (as in Owen's
pigeonhole bootstrap, Annals of Applied Statistics 2007).

Limits. One seed: nothing is known of other seeds, the interval is over people alone and too narrow for "this method".
Two seeds: one degree of freedom, intervals are so wide that they say little (t = 12.7). Three: t = 4.3. From about
five on the people dominate. Seeds share the training data: how other training people would change things is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from fairlab.evaluation import verification
from fairlab.evaluation.fold_chance import Choice
from fairlab.evaluation.groups import Asked, cut
from fairlab.evaluation.intervals import (
    chance_of_none,
    clopper_pearson,
    drawn_in,
    percentile_interval,
    share_interval,
    symmetric_interval,
    variance_of,
)
from fairlab.evaluation.operating import over_groups
from fairlab.evaluation.spread import Around, Noise, worth
from fairlab.tables import ALL_GROUPS, NUMBER, TEXT, Table

SUMMARY = Table(group=TEXT, metric=TEXT, value=NUMBER, low=NUMBER, high=NUMBER)
"""Columns of a summary: metrics accuracy (a row per group), mean_accuracy and those over groups, as report.evaluate's."""


def seed_draws(seeds: int, draws: int, seed: int) -> np.ndarray:
    """Weights (draws, S) by which the seeds' values deviate from their mean; every row adds up to 0.

    For values x (S,) the drawn means x.mean() + weights @ x follow Student's t with S-1 degrees of freedom and scale
    s/sqrt(S), s with n-1. All zero for one seed.
    """
    if seeds < 2:
        return np.zeros((draws, seeds))
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, seeds, 99])))
    normal = random.normal(size=(draws, seeds))
    length = np.sqrt(random.chisquare(seeds - 1, size=(draws, 1)) / (seeds - 1))
    weights: np.ndarray = (normal - normal.mean(1, keepdims=True)) / length / np.sqrt(seeds * (seeds - 1))
    return weights


def two_level(values: np.ndarray, redrawn: np.ndarray, seed: int) -> np.ndarray:
    """Drawn means (draws, ...) over seeds and people, of a quantity's `values` (S, ...) and `redrawn` (S, draws, ...).

    redrawn: the quantity with people drawn anew, the same draws for every seed.
    """
    weights = seed_draws(len(values), redrawn.shape[1], seed)
    drawn: np.ndarray = redrawn.mean(0) + np.tensordot(weights, values, axes=1)
    return drawn


@dataclass(frozen=True)
class Judged:
    """One run on the pairs: accuracy (G,) of each group, NaN where it has none; redrawn (draws, G); right (G,) decisions;
    correct: per group (P,) which decisions were right, for a difference's true spread; () where that is not known; choices: what
    choosing thresholds does to each group's. Several seeds show its variance by how they differ, one does not.
    """

    accuracy: np.ndarray
    redrawn: np.ndarray
    right: np.ndarray
    correct: tuple[np.ndarray, ...] = ()
    choices: tuple[Choice, ...] = ()


class SeededComparison:
    """Models on the same pairs and the same redrawn people, each a mapping of seed to its run's Judged."""

    def __init__(self, images: pd.DataFrame, pairs: pd.DataFrame, settings: Asked) -> None:
        self.settings = settings
        self._groups = cut(images, pairs, np.zeros(len(pairs)), settings)
        self.names = [group.name for group in self._groups]
        self.sizes = np.array([len(group.genuine) for group in self._groups])
        self._trials = np.array([sum(group.trials) for group in self._groups])
        self._known = np.array([0 not in group.counts for group in self._groups])

    def judged(self, scores: np.ndarray) -> Judged:
        """A run's accuracies from its scores (P,), ten folds, a threshold for each group, as in report.evaluate."""
        values = np.asarray(scores, dtype=np.float64)
        accuracy, right = np.full(len(self._groups), np.nan), np.zeros(len(self._groups))
        redrawn = np.full((self.settings.bootstrap, len(self._groups)), np.nan)
        correct = [np.zeros(0, dtype=bool)] * len(self._groups)
        choices = [Choice(0.0, 0.0, np.zeros(0, dtype=bool))] * len(self._groups)
        for number, group in enumerate(self._groups):
            if self._known[number]:
                found = verification.fold_accuracy(values[group.where], group.genuine, group.folds)
                accuracy[number], right[number] = found.accuracy, found.correct.sum()
                drawn = group.bootstrap.mean(found.correct)
                redrawn[:, number] = drawn_in(found.accuracy, drawn, group.bootstrap.mean_variance(found.correct))
                correct[number] = found.correct
                choices[number] = Choice.of(values[group.where], group.genuine, found, group.trials)
        return Judged(accuracy, redrawn, right, tuple(correct), tuple(choices))

    def summary(self, runs: Mapping[int, Judged]) -> pd.DataFrame:
        """The mean training: SUMMARY, with 95 % intervals over people and, with two seeds or more, over seeds.

        STD, SER and the other measures over groups are those of the mean accuracies (not the mean of the runs' own); so
        is `<metric>_fair_p95`, the 95 % point of what a perfectly fair model would show by chance of people and seeds.
        """
        rows: list[dict[str, Any]] = []

        def add(group: str, metric: str, value: float, low: float, high: float) -> None:
            rows.append(dict(zip(SUMMARY, (group, metric, value, low, high), strict=True)))

        each = np.array([run.accuracy for run in runs.values()])
        redrawn = np.array([run.redrawn for run in runs.values()])
        accuracy = each.mean(0)
        choices = [run.choices for run in runs.values() if run.choices]
        shift = np.mean([[choice.shift for choice in of] for of in choices], axis=0) if choices else 0 * accuracy
        if len(each) == 1 and choices:
            more = np.array([choice.variance for choice in choices[0]])
            redrawn = drawn_in(accuracy, redrawn[0], np.array([variance_of(column) for column in redrawn[0].T]) + more)[
                None
            ]
        drawn = np.clip(two_level(each, redrawn, self.settings.seed), 0, 1)
        for number, name in enumerate(self.names):
            people = self._groups[number].bootstrap.identities
            trials = int(self._trials[number])
            best = float(accuracy[number] - shift[number])
            between = _between(best, drawn[:, [number]] - shift[number], people, trials, len(each))
            add(name, "accuracy", float(accuracy[number]), *between)
        some = self._known
        if not some.any():
            add(ALL_GROUPS, "mean_accuracy", np.nan, np.nan, np.nan)
            return SUMMARY.build(rows)
        mean, sizes = float(accuracy[some].mean()), self.sizes[some]
        people = np.array([group.bootstrap.identities for group in self._groups])[some]
        trials = int(self._trials[some].sum())
        off = float(shift[some].mean())
        between = _between(mean - off, drawn[:, some] - off, int(people.sum()), trials, len(each))
        add(ALL_GROUPS, "mean_accuracy", mean, *between)
        right = np.mean([run.right[some] for run in runs.values()], axis=0)
        error, wrong = 1 - accuracy[some], 1 - redrawn.mean(0)[:, some]
        count = worth(error, wrong, sizes, people)
        if len(each) > 1:  # Student's t, as the draws of seeds
            wider = (stdtrit(len(each) - 1, 0.975) / ndtri(0.975)) ** 2
            of_seeds = wider * each[:, some].var(0, ddof=1) / len(each)
            with np.errstate(invalid="ignore", divide="ignore"):
                count = 1 / (1 / count + of_seeds / (error * (1 - error)))
        noise = Noise.of(1 - drawn[:, some], count, self.settings.seed)
        certain = bool((right < sizes).all())
        around = Around(error, np.full(len(error), 1 - mean), noise)
        over_groups("accuracy", around, lambda rates: 1 - rates, certain, lambda *row: add(ALL_GROUPS, *row))
        return SUMMARY.build(rows)

    def difference(self, runs: Mapping[int, Judged], baseline: Mapping[int, Judged]) -> dict[str, float]:
        """Mean accuracy of a model minus the baseline's, as fractions: difference, low, high (95 %), p of so many draws, seeds.

        Seeds are paired by number and those that only one of the two has are left out; `seeds` says how many remain. p:
        two-sided, how often chance of people and seeds alone would show as much. NaN without a seed in common.
        """
        pairs = [(runs[seed], baseline[seed]) for seed in sorted(set(runs) & set(baseline))]
        return self.paired(pairs)

    def paired(self, pairs: Sequence[tuple[Judged, Judged]]) -> dict[str, float]:
        """As difference(), of runs that somebody has paired already."""
        drawn_times = self.settings.bootstrap
        nothing = {
            "difference": np.nan,
            "low": np.nan,
            "high": np.nan,
            "p": np.nan,
            "draws": drawn_times,
            "seeds": len(pairs),
        }
        if not pairs or not self._known.any():
            return nothing
        some = self._known
        gain = np.array([(ours.accuracy - theirs.accuracy)[some].mean() for ours, theirs in pairs])
        redrawn = np.array([ours.redrawn - theirs.redrawn for ours, theirs in pairs])
        if all(ours.correct and theirs.correct for ours, theirs in pairs):
            self._redraw(redrawn, pairs)
        drawn = two_level(gain, redrawn[:, :, some].mean(2), self.settings.seed)
        low, high = symmetric_interval(float(gain.mean()), drawn)
        return {
            "difference": float(gain.mean()),
            "low": low,
            "high": high,
            "p": chance_of_none(drawn, float(gain.mean())),
            "draws": drawn_times,
            "seeds": len(pairs),
        }

    def _redraw(self, redrawn: np.ndarray, pairs: Sequence[tuple[Judged, Judged]]) -> None:
        """Fill in the redrawn differences (S, draws, G), with the spread that people make of them (see paired)."""
        for number in np.flatnonzero(self._known):
            draws = self._groups[number].bootstrap
            gains = [np.subtract(*(side.correct[number].astype(np.float32) for side in both)) for both in pairs]
            each, mean = np.array([draws.mean(gain) for gain in gains]), np.mean(gains, axis=0)
            chosen = [side.choices[number] for side in pairs[0] if side.choices]
            more = chosen[0].apart(chosen[1]) if len(pairs) == 1 and len(chosen) == 2 and mean.any() else 0.0
            factor = draws.narrowing(mean, each.mean(0), more=more)
            redrawn[:, :, number] = mean.mean() + factor * (each - mean.mean())


def _between(value: float, drawn: np.ndarray, people: int, trials: int, seeds: int) -> tuple[float, float]:
    """Interval of the mean of accuracies at the best thresholds, drawn (draws, G): over people as everywhere; with several seeds the middle of
    draws with Student's tails.
    """
    if seeds > 1 and 0 < value < 1:
        return percentile_interval(np.clip(drawn.mean(1), 0, 1))  # the shift of best thresholds may lead out of 0..1
    if value in (0.0, 1.0):
        return clopper_pearson(int(value) * trials, trials, one_sided=True)
    varied = sum(variance_of(column) for column in drawn.T) / drawn.shape[1] ** 2
    return share_interval(value, varied, people, trials)
