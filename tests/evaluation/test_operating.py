"""Numbers at an operating point: those of bob.measure, pyeer and fairlearn on the golden scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import AtPoint, OperatingPoint, at_point, numbers_at
from fairlab.evaluation.fairness_report import groups_of
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.score_frames import scored_pairs
from fairlab.tables import ALL_GROUPS
from tests.evaluation.scored_tables import golden, small

GROUPS = ("African", "Asian", "Caucasian", "Indian")
COUNTS = {
    0.01: (0.692826, (145, 18, 2, 11), (65, 95, 110, 102)),
    0.001: (0.764848, (14, 3, 0, 0), (112, 124, 130, 129)),
}
METRICS = {
    0.01: {
        "differential_fmr": 0.03238224637681159,
        "differential_fnmr": 0.3125,
        "max_min_fmr": 72.5,
        "max_min_fnmr": 1.692307692307692,
        "max_geomean_fmr": 9.36703634192121,
        "max_geomean_fnmr": 1.205688810562804,
        "gini_fmr": 0.8257575757575757,
        "gini_fnmr": 0.1272401433691756,
        "fdr": 0.8275588768115942,
        "ir": 11.076655979685732,
        "garbe": 0.4764988595633756,
        "demographic_parity_difference": 0.0412280701754386,
    },
    0.001: {
        "differential_fmr": 0.003170289855072464,
        "differential_fnmr": 0.125,
        "max_min_fmr": np.nan,
        "max_min_fnmr": 1.1607142857142858,
        "max_geomean_fmr": 3.1778827101628875,
        "max_geomean_fnmr": 1.0523256582928473,
        "gini_fmr": 0.8823529411764706,
        "gini_fnmr": 0.03973063973063973,
        "fdr": 0.9359148550724637,
        "ir": np.nan,
        "garbe": 0.46104179045355514,
        "equalized_odds_ratio": 0.0,
    },
}


@pytest.fixture(scope="module")
def groups() -> list[GroupPairs]:
    return groups_of(scored_pairs(golden()), 200, 0)


def found_at(groups: list[GroupPairs], point: OperatingPoint) -> tuple[AtPoint, pd.DataFrame]:
    at = at_point(groups, point)
    return at, numbers_at(at, 0)[0].set_index(["group", "metric"])


@pytest.mark.parametrize("target", [0.01, 0.001])
def test_counts_and_threshold_are_bobs(groups: list[GroupPairs], target: float) -> None:
    threshold, matches, missed = COUNTS[target]
    at, numbers = found_at(groups, OperatingPoint("pooled", target))
    assert [group.name for group in groups] == list(GROUPS)
    assert at.thresholds == pytest.approx([threshold] * 4, abs=1e-12)
    assert at.errors.tolist() == [list(matches), list(missed)]
    for number, group in enumerate(GROUPS):
        assert numbers.loc[(group, "fmr"), "value"] == pytest.approx(matches[number] / 4416, abs=1e-15)
        assert numbers.loc[(group, "tar"), "value"] == pytest.approx(1 - missed[number] / 144, abs=1e-15)
    assert numbers.loc[(ALL_GROUPS, "threshold"), "value"] == at.thresholds[0]


@pytest.mark.parametrize("target", [0.01, 0.001])
def test_fairness_metrics_to_1e_12(groups: list[GroupPairs], target: float) -> None:
    _, numbers = found_at(groups, OperatingPoint("pooled", target))
    for metric, value in METRICS[target].items():
        found = numbers.loc[(ALL_GROUPS, metric), "value"]
        assert found == pytest.approx(value, abs=1e-12, nan_ok=True), metric


def test_a_group_without_false_matches_gets_a_bound_and_leaves_the_metrics_without_an_interval(
    groups: list[GroupPairs],
) -> None:
    """0 of 4,416 pairs: 1 - .05^(1/4416); redrawn people would claim [0, 0], and so would the metrics that rest on it."""
    at = at_point(groups, OperatingPoint("pooled", 0.001))
    numbers, notes = numbers_at(at, 0)
    rows = numbers.set_index(["group", "metric"])
    for group in ("Caucasian", "Indian"):
        low, high = rows.loc[(group, "fmr"), ["low", "high"]]
        assert (low, high) == (0.0, pytest.approx(1 - 0.05 ** (1 / 4416), abs=1e-12))
    assert np.isnan(rows.loc[(ALL_GROUPS, "gini_fmr"), "low"])
    assert rows.loc[(ALL_GROUPS, "gini_fnmr"), "low"] >= 0
    assert any("no error of a kind" in note for note in notes)
    assert at.missing == ""


def test_each_group_at_its_own_fmr_is_pyeers(groups: list[GroupPairs]) -> None:
    """FNMR where a group's own FMR is 1 %, as pyeer 0.5.6, which takes the nearest instead of "at most", so two genuine
    pairs of 144 may differ."""
    at, numbers = found_at(groups, OperatingPoint("own", 0.01))
    wanted = [0.6388889, 0.5486111, 0.2430556, 0.4166667]
    assert [numbers.loc[(group, "fnmr"), "value"] for group in GROUPS] == pytest.approx(wanted, abs=2.01 / 144)
    assert all(0.0095 < count.fmr <= 0.01 for count in at.counts)
    assert len(set(at.thresholds)) == 4
    assert (ALL_GROUPS, "threshold") not in numbers.index
    assert numbers.loc[("Asian", "threshold"), "value"] == at.thresholds[1]


def test_a_given_threshold_is_taken_as_it_is(groups: list[GroupPairs]) -> None:
    at, numbers = found_at(groups, OperatingPoint("threshold", 0.692826))
    assert at.errors[0].tolist() == [145, 18, 2, 11]
    assert set(numbers["operating_point"]) == {"threshold=0.692826"}


@pytest.mark.parametrize(
    "point", [OperatingPoint("pooled", 0.001), OperatingPoint("own", 0.1), OperatingPoint("threshold", 0.1 + 0.2)]
)
def test_a_point_is_told_by_its_name(point: OperatingPoint) -> None:
    assert OperatingPoint.of(point.name) == point


@pytest.mark.parametrize("name", ["fmr", "fmr=much", "far=0.1", "fmr=2", "own_fmr=-0.1", "threshold=nan"])
def test_what_is_no_point_is_refused(name: str) -> None:
    with pytest.raises(FairLabError):
        OperatingPoint.of(name)


def test_too_few_impostors_are_said_and_counted() -> None:
    """135 impostors a group: at FMR 1 % 2.7 errors in all are expected."""
    at = at_point(groups_of(scored_pairs(small()), 50, 0), OperatingPoint("pooled", 0.01))
    assert at.missing == (
        "FMR 0.01 is not measurable: with 270 impostor pairs only about 2.7 false matches are expected; at least 10 are needed"
    )


def test_without_impostors_no_threshold_can_be_set() -> None:
    table = small()
    groups = groups_of(scored_pairs(table[table["label"] == 1]), 50, 0)
    with pytest.raises(FairLabError, match="there is no impostor pair"):
        at_point(groups, OperatingPoint("pooled", 0.1))
    with pytest.raises(FairLabError, match="group A has no impostor pair"):
        at_point(groups, OperatingPoint("own", 0.1))


def test_one_group_has_rates_and_no_measure_of_difference() -> None:
    numbers, _ = numbers_at(at_point(groups_of(scored_pairs(small("A")), 50, 0), OperatingPoint("pooled", 0.1)), 0)
    rows = numbers.set_index(["group", "metric"])["value"]
    assert rows["A", "fmr"] == pytest.approx(0.1, abs=0.01)
    assert np.isnan(rows[ALL_GROUPS, "gini_fmr"])


def test_redrawn_rates_are_those_of_pairs_on_the_threshold_too() -> None:
    """Everybody scores 0.5 and the threshold is 0.5: all match, in every draw that has such a pair at all."""
    at = at_point(groups_of(scored_pairs(small().assign(score=0.5)), 50, 0), OperatingPoint("threshold", 0.5))
    assert at.errors.tolist() == [[135, 135], [0, 0]]
    assert np.nanmin(at.fmr) == np.nanmax(at.fmr) == 1
    assert np.nanmin(at.fnmr) == np.nanmax(at.fnmr) == 0
