"""Repairs that take a group's own curve or threshold: M4, M5 (arXiv 2407.14087), and the two oracles FairCal compares with."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import expit, ndtr

from fairlab.evaluation.repair.base import (
    REPAIRS,
    Cohort,
    Fitted,
    Moments,
    RepairFacts,
    Scored,
    group_names,
    one_by_one,
    rows_of,
)  # fmt: skip
from fairlab.evaluation.repair.calibrators import beta, beta_chance, platt
from fairlab.evaluation.verification import threshold_at_fmr, why_not_measurable

FMR = 0.001
"""At which a threshold is taken for each group, as in arXiv 2106.03761."""


def _parts(cohort: Cohort) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(group, scores, which are genuine) of the cohort's pairs."""
    pairs = cohort.pairs
    return [
        (name, pairs.scores[pairs.reference_groups == name], pairs.kinds()[pairs.reference_groups == name])
        for name in group_names(pairs.reference_groups)
    ]


@REPAIRS.register("m4")
class M4:
    """expit(w s + c), Platt's curve of the reference's group."""

    name = "m4"
    facts: ClassVar = RepairFacts(
        "M4: Platt's curve of a group", "arXiv 2407.14087", "scores", "reference", "thresholds"
    )

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        parts = _parts(cohort)
        lines = [platt(scores, genuine, f"group {name!r} of the cohort") for name, scores, genuine in parts]
        return Fitted(self.name, {"groups": np.array([name for name, _, _ in parts]), "lines": np.array(lines)})

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        names, lines = one_by_one(fitted.arrays, "groups", "lines")
        slope, intercept = lines[rows_of(names, test.reference_groups)].T
        result: np.ndarray = expit(slope * test.scores + intercept)
        return result


@REPAIRS.register("m5")
class M5:
    """Phi((s - mean of genuine) / deviation) - 1 + Phi((s - mean of impostors) / deviation), of the reference's group."""

    name = "m5"
    facts: ClassVar = RepairFacts(
        "M5: two normal curves of a group", "arXiv 2407.14087", "scores", "reference", "thresholds"
    )

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        kinds = [Moments("genuine pairs in the cohort"), Moments("impostor pairs in the cohort")]
        for name, scores, genuine in _parts(cohort):
            kinds[0].add(name, scores[genuine])
            kinds[1].add(name, scores[~genuine])
        arrays = {
            "groups": np.array(kinds[0].names),
            "mean": np.array([kind.mean for kind in kinds]),
            "deviation": np.array([kind.deviation for kind in kinds]),
        }
        return Fitted(self.name, arrays, (*kinds[0].notes, *kinds[1].notes))

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        names, mean, deviation = one_by_one(fitted.arrays, "groups", "mean", "deviation")
        at = rows_of(names, test.reference_groups)
        both = ndtr((test.scores - mean[:, at]) / deviation[:, at])
        result: np.ndarray = both[0] - 1 + both[1]
        return result


@REPAIRS.register("group_threshold")
class GroupThreshold:
    """s - threshold of the group + threshold of all, each at one FMR."""

    name = "group_threshold"
    facts: ClassVar = RepairFacts(
        "Threshold for each group",
        "compared with in arXiv 2106.03761",
        "scores",
        "reference",
        "thresholds",
        oracle=True,
    )

    def __init__(self, fmr: float = FMR) -> None:
        self.fmr = fmr

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        parts, notes = _parts(cohort), []
        impostors = {name: scores[~genuine] for name, scores, genuine in parts}
        for name, scores in impostors.items():
            if missing := why_not_measurable(self.fmr, len(scores)):
                notes.append(f"{name}: {missing}")
        every = threshold_at_fmr(np.concatenate(list(impostors.values())), self.fmr)
        own = [threshold_at_fmr(scores, self.fmr) for scores in impostors.values()]
        arrays = {"groups": np.array(list(impostors)), "thresholds": np.array(own), "all": np.array([every])}
        return Fitted(self.name, arrays, tuple(notes))

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        names, own, every = one_by_one(fitted.arrays, "groups", "thresholds", "all")
        result: np.ndarray = test.scores - own[rows_of(names, test.reference_groups)] + every[0]
        return result


@REPAIRS.register("group_calibration")
class GroupCalibration:
    """Beta calibration for each group."""

    name = "group_calibration"
    facts: ClassVar = RepairFacts(
        "Calibration for each group",
        "compared with in arXiv 2106.03761",
        "scores",
        "reference",
        "thresholds",
        oracle=True,
    )

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        parts = _parts(cohort)
        curves = [beta(scores, genuine, f"group {name!r} of the cohort") for name, scores, genuine in parts]
        return Fitted(self.name, {"groups": np.array([name for name, _, _ in parts]), "curves": np.array(curves)})

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        names, curves = one_by_one(fitted.arrays, "groups", "curves")
        at, result = rows_of(names, test.reference_groups), np.empty(len(test.scores))
        for row, curve in enumerate(curves):
            result[at == row] = beta_chance(test.scores[at == row], *curve.tolist())
        return result
