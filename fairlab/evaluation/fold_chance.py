"""What choosing a threshold adds to the chance of an accuracy.

An accuracy over folds is decided by thresholds that are themselves chosen on the pairs. Near the best threshold accuracy falls
off as a parabola, and what is seen of it is that and a random walk, so the threshold chosen is Chernoff's: the place where a
two-sided Brownian motion minus a parabola is highest (Kim & Pollard, Annals of Statistics 1990). All that the world adds is
one length, `scale`. How steep the parabola is follows from the errors alone: at the best threshold both kinds of pairs are
equally dense, and the tails fall as those of normal distributions with these error rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from fairlab.evaluation.verification import FoldAccuracy

FOLDS = np.array([2, 3, 5, 10, 20, 50, 100])
SHIFT = -0.26356 * (FOLDS / (FOLDS - 1)) ** (2 / 3)
VARIANCE = np.array([0.733, 0.643, 0.658, 0.786, 0.995, 1.462, 1.964])
"""Mean and variance of the accuracy over so many folds minus that at the best threshold, in units of `scale`. The mean is that
of Chernoff's square (Groeneboom & Wellner, JCGS 2001), on all folds but one; the variance is of 20,000 simulated walks."""
ONE_FOLD = 0.7907, 0.207
"""The same where the threshold is chosen on the very pairs that are decided: 3 x 0.2636 too high."""


@dataclass(frozen=True)
class Choice:
    """What choosing thresholds does to an accuracy over folds. shift: by how much it lies above that at the best threshold on
    average; variance: of it, beside what people and pairs do; close (P,): pairs so near the threshold that they decide it.
    """

    shift: float
    variance: float
    close: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, genuine: np.ndarray, found: FoldAccuracy, trials: tuple[int, int]) -> Choice:
        """Of scores (P,) that were decided so; trials: so many different (genuine, impostor) pairs are among them."""
        wrong = ~np.asarray(found.correct, dtype=bool)
        if not wrong.any() or 0 in trials:
            return cls(0.0, 0.0, np.zeros(len(scores), dtype=bool))
        steep = _steepness(float(wrong[~genuine].mean()), float(wrong[genuine].mean()), trials)
        length, folds = 2 * sum(trials) ** (-2 / 3) * steep ** (-1 / 3), len(found.per_fold)
        count = min(round(8 * (sum(trials) / steep) ** (2 / 3)) * len(scores) // sum(trials), len(scores) - 1)
        away = np.abs(scores - np.median(found.thresholds))
        close = away <= np.partition(away, count)[count]
        if folds < 2:
            return cls(ONE_FOLD[0] * length, ONE_FOLD[1] * length**2, close)
        shift, variance = (float(np.interp(np.log(folds), np.log(FOLDS), values)) for values in (SHIFT, VARIANCE))
        return cls(shift * length, variance * length**2, close)

    def apart(self, other: Choice) -> float:
        """Variance that it adds to the difference of two models' accuracies on the same pairs: both models' where other pairs
        lie near the threshold, none where the same ones do.
        """
        both = float((self.close & other.close).sum() / max((self.close | other.close).sum(), 1))
        return max(self.variance + other.variance - 2 * both * float(np.sqrt(self.variance * other.variance)), 0.0)


def _steepness(fmr: float, fnmr: float, trials: tuple[int, int]) -> float:
    """How fast accuracy falls off on both sides of the best threshold, in units in which the density of pairs cancels."""
    steep = 0.0
    for rate, of in ((fnmr, trials[0]), (fmr, trials[1])):
        at = ndtri(min((rate * of + 0.5) / (of + 1), 0.4))  # half of all wrong would be no peak at all
        steep += -at / (of / sum(trials) * np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi))
    return steep
