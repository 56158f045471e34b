"""Two models at an operating point: closed forms, what must hold exactly, and how small a difference can be seen."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import (
    IdentityBootstrap,
    OperatingPoint,
    at_point,
    cut,
    detectable,
    fold_accuracy,
    paired_report,
    paired_seeds,
    power_sentences,
    with_scores,
)
from fairlab.evaluation.both_points import Both
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import PairBootstrap, chance_of_none
from fairlab.settings.study import Evaluation
from fairlab.tables import ALL_GROUPS
from tests.evaluation.test_report import scores_for, world

SETTINGS = Evaluation(bootstrap=300)
POINT = OperatingPoint("pooled", 0.1)


@pytest.fixture(scope="module")
def list_of() -> tuple[pd.DataFrame, list[GroupPairs]]:
    images, pairs = world(people=40, genuine=200)
    return pairs, cut(images, pairs, np.zeros(len(pairs)), SETTINGS)


def test_differences_are_those_of_the_two_models_at_their_own_thresholds(
    list_of: tuple[pd.DataFrame, list[GroupPairs]],
) -> None:
    pairs, groups = list_of
    one, two = (with_scores(groups, scores_for(pairs, gap, seed)) for gap, seed in ((2.0, 1), (1.0, 2)))
    rows = paired_report(one, two, POINT).set_index(["group", "metric"])
    sides = at_point(one, POINT), at_point(two, POINT)
    assert sides[0].thresholds[0] != sides[1].thresholds[0]
    for number, group in enumerate(one):
        for kind, metric in enumerate(("fmr", "fnmr")):
            wanted = np.subtract(*((side.errors / side.pairs)[kind, number] for side in sides))
            assert rows.loc[(group.name, metric), "difference"] == pytest.approx(wanted, abs=1e-12)
        accuracies = [fold_accuracy(side[number].scores, group.genuine, group.folds).accuracy for side in (one, two)]
        found = rows.loc[(group.name, "accuracy"), "difference"]
        assert found == pytest.approx(accuracies[0] - accuracies[1], abs=1e-12)
    better = rows.loc[(ALL_GROUPS, "accuracy")]
    assert better["low"] > 0
    assert better["p"] < 0.05
    assert rows.loc[(ALL_GROUPS, "gini_fnmr"), "low"] < rows.loc[(ALL_GROUPS, "gini_fnmr"), "high"]
    known = rows.dropna(subset=["low"])
    assert ((known["low"] <= known["difference"]) & (known["difference"] <= known["high"])).all()


def test_a_model_against_itself_and_the_other_way_round(list_of: tuple[pd.DataFrame, list[GroupPairs]]) -> None:
    pairs, groups = list_of
    one, two = (with_scores(groups, scores_for(pairs, 1.5, seed)) for seed in (1, 2))
    same = paired_report(one, one, POINT).dropna(subset=["difference"])
    assert (same["difference"] == 0).all()
    assert (same.dropna(subset=["p"])["p"] == 1).all()
    there, back = paired_report(one, two, POINT), paired_report(two, one, POINT)
    assert there["difference"].to_numpy() == pytest.approx(-back["difference"].to_numpy(), abs=1e-12, nan_ok=True)
    assert there["low"].to_numpy() == pytest.approx(-back["high"].to_numpy(), abs=1e-6, nan_ok=True)
    assert there["p"].to_numpy() == pytest.approx(back["p"].to_numpy(), abs=1e-12, nan_ok=True)


def test_no_pair_decided_differently_is_not_certainty(list_of: tuple[pd.DataFrame, list[GroupPairs]]) -> None:
    """Two models without an error: the difference may still be as large as the exact bound of what was not seen."""
    pairs, groups = list_of
    perfect = pairs["genuine"].to_numpy(float)
    found = paired_report(
        with_scores(groups, perfect), with_scores(groups, 2 * perfect), OperatingPoint("threshold", 1.0)
    )
    row = found.set_index(["group", "metric"]).loc[("a", "fnmr")]
    bound = 1 - 0.05 ** (1 / groups[0].trials[0])
    assert (row["difference"], row["p"]) == (0, 1)
    assert (row["low"], row["high"], row["detectable"]) == pytest.approx((-bound, bound, bound), abs=1e-12)


def test_what_can_be_seen_is_the_textbook_s() -> None:
    """Normal differences of spread s: 2.8016 s at 80 % and p < .05; and drawn at that size, 80 % are seen."""
    random = np.random.default_rng(0)
    drawn = random.normal(0, 2.0, 100_000)
    limit = detectable(drawn)
    assert limit == pytest.approx(2 * (NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)), rel=0.01)
    seen = [chance_of_none(random.normal(random.normal(limit, 2.0), 2.0, 1000)) < 0.05 for _ in range(1000)]
    print(f"\ntrue difference of the size said to be detectable: seen in {np.mean(seen):.3f}")
    assert 0.76 <= np.mean(seen) <= 0.84
    assert np.isnan(detectable(np.zeros(10)))


def test_the_power_is_said(list_of: tuple[pd.DataFrame, list[GroupPairs]]) -> None:
    pairs, groups = list_of
    report = paired_report(*(with_scores(groups, scores_for(pairs, 1.5, seed)) for seed in (1, 2)), POINT)
    said = power_sentences(report)
    limit = report.set_index(["group", "metric"]).loc[(ALL_GROUPS, "accuracy"), "detectable"]
    assert said[0].startswith(
        f"With these pairs a difference in mean accuracy below {100 * limit:.2g} points cannot be detected"
    )
    assert len(said) == 3


def test_several_seeds_are_paired_in_their_order(list_of: tuple[pd.DataFrame, list[GroupPairs]]) -> None:
    """Differences are the means of the pairs' differences; with seeds that vary, intervals are wider than one pair's."""
    pairs, groups = list_of
    ours = [with_scores(groups, scores_for(pairs, gap, 10 + seed)) for seed, gap in enumerate((1.0, 1.5, 2.0))]
    theirs = [with_scores(groups, scores_for(pairs, 1.0, 20 + seed)) for seed in range(3)]
    each = [paired_report(one, two, POINT)["difference"].to_numpy() for one, two in zip(ours, theirs, strict=True)]
    both = paired_seeds(ours, theirs, POINT, 0).set_index(["group", "metric"])
    assert both["difference"].to_numpy() == pytest.approx(np.mean(each, axis=0), abs=1e-12, nan_ok=True)
    alone = paired_report(ours[1], theirs[1], POINT).set_index(["group", "metric"])
    key = (ALL_GROUPS, "accuracy")
    width = [table.loc[key, "high"] - table.loc[key, "low"] for table in (both, alone)]
    assert width[0] > 1.5 * width[1]
    with pytest.raises(FairLabError, match="3 runs cannot be paired with 2"):
        paired_seeds(ours, theirs[:2], POINT, 0)


def test_other_pairs_are_refused(list_of: tuple[pd.DataFrame, list[GroupPairs]]) -> None:
    _, groups = list_of
    with pytest.raises(FairLabError, match="only on the same pairs"):
        paired_report(groups, groups[::-1], POINT)
    with pytest.raises(FairLabError, match="only on the same groups, not on 2 and 1"):
        paired_report(groups, groups[:1], POINT)


@pytest.mark.parametrize(("people", "full"), [(3000, False), (60, True)])
def test_draws_are_narrowed_to_the_true_spread(people: int, full: bool) -> None:
    """A list in which few share people: the draws spread 1.7 times too wide, narrowed they are right. Everybody against
    everybody with effects of people: they were right, and stay so."""
    random = np.random.default_rng(5)
    if full:
        a, b = np.triu_indices(people, 1)
    else:
        a = np.arange(people)
        b = (a + 1 + random.integers(0, people - 2, people)) % people
    strangers = np.zeros(len(a), bool)
    bootstrap = IdentityBootstrap(a, b, strangers, 600, 0)
    effect = random.normal(size=(people, 300)) * (1.0 if full else 0.0)
    values = effect[a] + effect[b] + random.normal(size=(len(a), 300))
    redrawn = bootstrap.rate(values, False)
    factors = [bootstrap.narrowing(values[:, at], redrawn[:, at], [False]) for at in range(300)]
    true, drawn = values.mean(0).std(), np.median(redrawn.std(0))
    print(f"\nspread of draws / true: {drawn / true:.2f}, narrowed {np.median(factors) * drawn / true:.2f}")
    assert np.median(factors) * drawn == pytest.approx(true, rel=0.12)
    assert drawn / true == pytest.approx(1.0 if full else np.sqrt(3), rel=0.12)
    plain = PairBootstrap(strangers, 2000, 0)
    assert plain.narrowing(values[:, 0], plain.rate(values[:, 0], False), [False]) == pytest.approx(1, rel=0.06)


def test_a_difference_at_thresholds_of_their_own_varies_as_it_says() -> None:
    """100 people, 1,500 + 1,500 pairs, two models that agree on much: FNMRs at FMR 5 % each, over 60 simulated test sets.

    With each model's redrawn FMRs drawn in for itself it would be 1.3 times as much.
    """
    random = np.random.default_rng(6)
    genuine = np.arange(3000) < 1500
    first = random.integers(0, 100, 3000)
    second = np.where(genuine, first, (first + random.integers(1, 100, 3000)) % 100)
    bootstrap = IdentityBootstrap(first, second, genuine, 100, 0)
    seen, told = [], []
    for _ in range(60):
        luck, noise = random.normal(size=(3, 100)), random.normal(size=(3, 3000))
        sides = []
        for model in (1, 2):
            effect = np.sqrt(0.8) * luck[0] + np.sqrt(0.2) * luck[model]
            scores = np.sqrt(0.1) * (effect[first] + effect[second]) + np.sqrt(0.8) * noise[0] + 0.4 * noise[model]
            group = GroupPairs("A", scores + 2.5 * genuine, genuine, np.zeros(3000), bootstrap, np.arange(3000))
            sides.append(at_point([group], OperatingPoint("own", 0.05)))
        seen.append(float(np.subtract(*(side.rates[1, 0] for side in sides))))
        told.append(Both(*sides).variance(1, 0))
    print(f"\nspread of the difference {np.std(seen):.4f}, told {np.sqrt(np.mean(told)):.4f}")
    assert np.sqrt(np.mean(told)) == pytest.approx(np.std(seen), rel=0.2)
