"""Pairs behind the rates: the errors are those that the rates count, the worst come first, two models are told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import BESIDE, CHANGES, DECIDED, Wanted, changes, chosen, decided
from fairlab.evaluation.fairness_report import fairness_report
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.tables import matches

POINT = OperatingPoint("pooled", 0.1)


def simulated(seed: int, across: int = 0) -> ScoredPairs:
    """Two groups of 20 people, 100 genuine and 100 impostor pairs each, and pairs of people of two groups."""
    random = np.random.default_rng(seed)
    rows = []
    for group in ("A", "B"):
        for _number in range(100):
            one, other = random.choice(20, 2, replace=False)
            rows.append((random.normal(0.6, 0.2), group, group, f"{group}{one}", f"{group}{one}", True))
            rows.append((random.normal(0.2, 0.2), group, group, f"{group}{one}", f"{group}{other}", False))
    rows += [(random.normal(0.1, 0.3), "A", "B", f"A{n % 20}", f"B{n % 19}", False) for n in range(across)]
    frame = pd.DataFrame(rows, columns=["score", "group", "other", "id1", "id2", "genuine"])
    return ScoredPairs(frame.assign(line=np.arange(len(frame)) + 1000, fold=0))


@pytest.mark.parametrize("name", ["fmr=0.1", "own_fmr=0.05", "threshold=0.4"])
def test_the_errors_are_those_of_the_rates(name: str) -> None:
    pairs, point = simulated(0), OperatingPoint.of(name)
    key = {"pooled": "at_fmr", "own": "own_fmr", "threshold": "threshold"}[point.rule]
    rates = fairness_report(pairs, **{key: point.value}, draws=2).groups.set_index("group")  # type: ignore[arg-type]
    table = decided(pairs, point)
    for group in ("A", "B"):
        for kind, column in (("false-match", "false_matches"), ("false-non-match", "false_non_matches")):
            found = chosen(table, Wanted(kind, group))  # type: ignore[arg-type]
            assert len(found) == rates.loc[group, column] > 0
            assert set(found["threshold"]) == {rates.loc[group, "threshold"]}


def test_the_worst_come_first_and_the_nearest_nearest() -> None:
    table = decided(simulated(1), POINT)
    false, missed = (chosen(table, Wanted(kind)) for kind in ("false-match", "false-non-match"))  # type: ignore[arg-type]
    assert (np.diff(false["distance"]) <= 0).all()
    assert (false["distance"] >= 0).all()
    assert not false["genuine"].any()
    assert (np.diff(missed["distance"]) >= 0).all()
    assert (missed["distance"] < 0).all()
    assert missed["genuine"].all()
    nearest = chosen(table, Wanted("nearest"))
    assert len(nearest) == 400
    assert (np.diff(nearest["distance"].abs()) >= 0).all()
    assert np.allclose(table["score"] - table["threshold"], table["distance"])


def test_pairs_of_two_groups_are_decided_at_the_one_threshold_only() -> None:
    pairs = simulated(2, across=60)
    table = decided(pairs, POINT)
    assert set(table["threshold"]) == set(decided(simulated(2), POINT)["threshold"])  # they set none
    both = chosen(table, Wanted("false-match", "B", "A"))
    across = pairs.frame[pairs.frame["group"] != pairs.frame["other"]]
    assert len(both) == (across["score"] >= table["threshold"].iloc[0]).sum() > 0
    assert len(decided(pairs, OperatingPoint("own", 0.1))) == 400


def test_a_person_is_on_either_side() -> None:
    table = decided(simulated(3), POINT)
    found = chosen(table, Wanted("nearest", person="A3"))
    assert len(found) == ((table["identity_a"] == "A3") | (table["identity_b"] == "A3")).sum() > 0


def test_two_models_share_the_pairs_between_them() -> None:
    first, second = decided(simulated(4), POINT), decided(simulated(4), POINT)
    other = simulated(5).frame["score"].to_numpy()
    pairs = simulated(4)
    second = decided(ScoredPairs(pairs.frame.assign(score=other)), POINT)
    counts = changes(first, second).set_index(["group", "kind"])
    for group in ("A", "B"):
        parts = {
            among: chosen(first, Wanted("false-match", group, among=among), second)  # type: ignore[arg-type]
            for among in ("here", "only-here", "both", "only-there")
        }
        row = counts.loc[(group, "false-match")]
        assert [len(parts[name]) for name in ("only-here", "both", "only-there")] == [
            row["only_here"],
            row["both"],
            row["only_there"],
        ]
        assert row["only_here"] + row["both"] == len(parts["here"])
        assert row["pairs"] == 100
        assert parts["only-here"]["right_there"].all()
        assert not parts["both"]["right_there"].any()
        there = parts["only-there"]
        assert (there["distance"] < 0).all()
        assert (np.diff(there["distance_there"]) <= 0).all()


def test_tables_keep_their_columns_when_empty() -> None:
    table = decided(simulated(6), OperatingPoint("threshold", 5.0))
    assert matches(table, DECIDED)
    found = chosen(table, Wanted("false-match"))
    assert found.empty
    assert matches(found, BESIDE)
    assert matches(changes(table.iloc[:0], table.iloc[:0]), CHANGES)


def test_what_is_wrong_is_said() -> None:
    table = decided(simulated(7), POINT)
    for make, words in (
        (lambda: Wanted("errors"), "choose from: false-match"),  # type: ignore[arg-type]
        (lambda: Wanted("nearest", among="both"), "leave out"),
        (lambda: Wanted(other_group="A"), "name the first group"),
        (lambda: chosen(table, Wanted(group="C")), "the groups are: A, B"),
        (lambda: chosen(table, Wanted(person="a3")), "names are exact"),
        (lambda: chosen(table, Wanted(among="both")), "name a second model"),
        (lambda: chosen(table, Wanted(), table.iloc[1:]), "not evaluated on the same pairs"),
        (lambda: changes(table, table.iloc[1:]), "not evaluated on the same pairs"),
        (lambda: decided(ScoredPairs(simulated(8).frame.drop(columns=["id1", "id2"])), POINT), "does not name"),
    ):
        with pytest.raises(FairLabError, match=words):
            make()
