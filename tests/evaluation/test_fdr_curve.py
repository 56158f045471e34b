"""FDR over operating points, and the area under it."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation.fdr_curve import LOOSEST, POINTS, fdr_curve
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import IdentityBootstrap


def group(name: str, shift: float, people: int = 60, seed: int = 0) -> GroupPairs:
    """Genuine pairs around 3, impostors around `shift`, of many people."""
    random = np.random.default_rng(seed)
    first = np.arange(2000) % people
    genuine = np.arange(2000) < 1000
    second = np.where(genuine, first, (first + 1 + random.integers(0, people - 1, 2000)) % people)
    scores = np.where(genuine, random.normal(3, 1, 2000), random.normal(shift, 1, 2000))
    return GroupPairs(
        name, scores, genuine, np.zeros(2000), IdentityBootstrap(first, second, genuine, 200, 1), np.arange(2000)
    )


def test_equal_groups_are_fair_everywhere() -> None:
    """The same scores twice: FDR is 1 at every threshold, and so is the area."""
    found = fdr_curve([group("a", 0), group("b", 0)], 0)
    assert len(found.table) == POINTS
    assert (found.table["fdr"] == 1).all()
    assert found.area == pytest.approx(1, abs=1e-12)


def test_it_runs_from_what_can_be_measured_and_is_the_formula_at_each_threshold() -> None:
    """2,000 impostor pairs allow FMR 0.5 % (ten false matches); each row is 1 - (gap FMR + gap FNMR)/2, counted here."""
    groups = [group("a", 0), group("b", 0.8, seed=1)]
    found = fdr_curve(groups, 0)
    assert found.table["fmr_target"].iloc[[0, -1]].tolist() == pytest.approx([10 / 2000, LOOSEST])
    for row in found.table.iloc[::6].itertuples():
        fmr = [np.mean(item.scores[~item.genuine] >= row.threshold) for item in groups]
        fnmr = [np.mean(item.scores[item.genuine] < row.threshold) for item in groups]
        assert np.mean(fmr) <= row.fmr_target
        assert row.fdr == pytest.approx(1 - (abs(fmr[0] - fmr[1]) + abs(fnmr[0] - fnmr[1])) / 2, abs=1e-12)
        known = min(rate for rate in (*fmr, *fnmr)) > 0
        assert row.low <= row.fdr <= row.high <= 1 if known else np.isnan([row.low, row.high]).all()
    logs, values = np.log(found.table["fmr_target"].to_numpy()), found.table["fdr"].to_numpy()
    trapezoids = (np.diff(logs) * (values[1:] + values[:-1]) / 2).sum() / (logs[-1] - logs[0])
    assert found.area == pytest.approx(trapezoids, abs=1e-9)
    assert found.low <= found.area <= found.high


def test_without_two_groups_or_enough_impostors_there_is_none_and_the_reason_is_said() -> None:
    assert "two groups" in fdr_curve([group("a", 0)], 0).reason
    few = [
        GroupPairs(item.name, item.scores[keep], item.genuine[keep], item.folds[keep], item.bootstrap, item.where[keep])
        for item in (group("a", 0), group("b", 0))
        for keep in [np.r_[0:50, 1000:1040]]
    ]
    assert "80 impostor pairs are too few" in fdr_curve(few, 0).reason
