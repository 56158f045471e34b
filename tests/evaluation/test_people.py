"""People behind the rates: counts, intervals and concentration against scipy and closed forms; chance is called chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fairlab.evaluation import menagerie as zoo_of
from fairlab.evaluation.error_pairs import DECIDED
from fairlab.evaluation.intervals import clopper_pearson
from fairlab.evaluation.menagerie import menagerie
from fairlab.evaluation.people import (
    LORENZ,
    PEOPLE,
    SHARES,
    Side,
    clopper_pearson_each,
    concentration,
    errors_by_person,
    sides_of,
    tail_of,
)
from fairlab.tables import matches


def table_of(
    people: int, each: int, seed: int, effect: float = 0.0, group: str = "A", threshold: float = 0.5
) -> pd.DataFrame:
    """`each` genuine and impostor pairs per person; effect: spread of people's own mean scores."""
    random = np.random.default_rng(seed)
    own = effect * random.normal(size=people)
    first = np.repeat(np.arange(people), each)
    other = (first + 1 + random.integers(0, people - 1, len(first))) % people
    scores = [random.normal(0.7, 0.15, len(first)) + own[first], random.normal(0.3, 0.15, len(first)) + own[first]]
    scores[1] += own[other]
    score, genuine = np.concatenate(scores), np.repeat([True, False], len(first))
    names = [f"{group}{number:03d}" for number in range(people)]
    sides = [
        [names[at] for at in np.concatenate([first, first])],
        [names[at] for at in np.concatenate([first, other])],
    ]
    columns = (np.arange(len(score)), genuine, score >= threshold, score, threshold, score - threshold, group, group)
    return DECIDED.of(dict(zip(DECIDED, (*columns, *sides), strict=True)))


def test_counts_means_and_intervals_of_each_person() -> None:
    table = table_of(30, 6, 0)
    found = errors_by_person(sides_of(table)).set_index("identity")
    assert len(found) == 30
    for name in ("A000", "A017"):
        genuine = table[table["genuine"] & (table["identity_a"] == name)]
        mine = table[~table["genuine"] & ((table["identity_a"] == name) | (table["identity_b"] == name))]
        row = found.loc[name]
        assert row["genuine_pairs"] == len(genuine) == 6
        assert row["false_non_matches"] == (~genuine["match"]).sum()
        assert (row["impostor_pairs"], row["false_matches"]) == (len(mine), mine["match"].sum())
        assert row["impostor_mean"] == pytest.approx(mine["score"].mean())
        assert (row["fmr_low"], row["fmr_high"]) == pytest.approx(clopper_pearson(row["false_matches"], len(mine)))


def test_intervals_and_tails_are_scipys() -> None:
    errors, counts = np.array([0, 1, 3, 5, 0]), np.array([5, 4, 9, 5, 0])
    low, high = clopper_pearson_each(errors, counts)
    for at in range(4):
        exact = stats.binomtest(int(errors[at]), int(counts[at])).proportion_ci(0.95, "exact")
        assert (low[at], high[at]) == pytest.approx((exact.low, exact.high))
    assert np.isnan([low[4], high[4]]).all()
    for pairs, wrong, own in ((200, 30, 12), (50, 45, 10), (6000, 60, 1), (10, 0, 3)):
        expected = stats.hypergeom(pairs, wrong, own).sf(np.arange(own + 2) - 1)
        assert tail_of(pairs, wrong, own) == pytest.approx(expected, abs=1e-9)


def side(errors: list[int], each: int = 10) -> Side:
    """Genuine pairs of people with so many errors."""
    first = np.repeat(np.arange(len(errors)), each)
    wrong = np.concatenate([np.arange(each) < count for count in errors])
    names = np.array([f"p{number}" for number in range(len(errors))], dtype=object)
    return Side("A", "false-non-match", names, first, first, wrong, np.linspace(0, 1, len(first)))


def test_lorenz_by_hand() -> None:
    """Of 100 people one makes 10 errors, ten make 3, others none."""
    shares, lorenz = concentration([side([0] * 89 + [3] * 10 + [10])])
    assert shares["share"].tolist() == pytest.approx([10 / 40, (10 + 4 * 3) / 40, (10 + 9 * 3) / 40])
    assert (shares[["people", "with_errors", "errors"]] == [100, 11, 40]).all().all()
    assert (shares["p"] < 0.01).all()
    assert np.interp(0.11, lorenz["people"], lorenz["errors"]) == pytest.approx(1)
    even, _ = concentration([side([2] * 50)])
    assert even["share"].tolist() == pytest.approx([0.01, 0.05, 0.10])
    assert (even["p"] == 1).all()


def test_people_without_a_genuine_pair_share_no_false_non_matches() -> None:
    """They cannot make one: 60 more people in impostor pairs alone leave the curve where it was."""
    few, strangers = table_of(30, 10, 4), table_of(60, 5, 5).assign(group_a="A", group_b="A")
    strangers = strangers[~strangers["genuine"]].assign(
        identity_a=lambda table: "x" + table["identity_a"], identity_b=lambda table: "x" + table["identity_b"]
    )
    alone, _ = concentration(sides_of(few))
    more, _ = concentration(sides_of(pd.concat([few, strangers], ignore_index=True)))
    missed = [table[table["kind"] == "false-non-match"].reset_index(drop=True) for table in (alone, more)]
    columns = ["people", "with_errors", "errors", "worst", "share"]
    assert missed[0][columns].equals(missed[1][columns])
    assert more[more["kind"] == "false-match"]["people"].unique().tolist() == [90]
    only, curve = concentration(sides_of(strangers))
    assert only[only["kind"] == "false-non-match"]["people"].unique().tolist() == [0]
    assert curve[curve["kind"] == "false-non-match"]["errors"].isna().all()


def test_the_share_by_chance_is_that_of_a_simulation() -> None:
    """Errors on pairs at random, drawn by another way: multivariate hypergeometric."""
    shares, _ = concentration([side([1] * 30 + [0] * 30)], seed=1)
    drawn = np.random.default_rng(0).multivariate_hypergeometric([10] * 60, 30, size=4000)
    ordered = np.cumsum(np.sort(drawn, axis=1)[:, ::-1], axis=1) / 30
    assert shares["by_chance"].iloc[2] == pytest.approx(ordered[:, 5].mean(), abs=0.01)
    assert shares["by_chance"].iloc[1] == pytest.approx(ordered[:, 2].mean(), abs=0.01)


def test_all_groups_share_out_all_errors() -> None:
    sides = sides_of(pd.concat([table_of(20, 5, 1), table_of(25, 5, 2, group="B")], ignore_index=True))
    shares, lorenz = concentration(sides)
    assert set(shares["group"]) == {"A", "B", "all"}
    all_of = shares[(shares["group"] == "all") & (shares["worst"] == 0.01)].set_index("kind")
    assert all_of["people"].tolist() == [45, 45]
    assert all_of.loc["false-match", "errors"] == sum(int(part.wrong.sum()) for part in sides[1::2])
    assert lorenz.groupby(["group", "kind"])["errors"].last().to_numpy() == pytest.approx(1)


def test_h_is_scipys_kruskal() -> None:
    one = sides_of(table_of(15, 7, 3, effect=0.1))[0]
    expected = stats.kruskal(*(one.scores[one.first == person] for person in range(15)))
    assert zoo_of.kruskal_wallis(one, stats.rankdata(one.scores)) == pytest.approx(expected.statistic)
    found = zoo_of.differ([one])
    assert found["statistic"].iloc[0] == pytest.approx(expected.statistic)
    assert (found["p"].iloc[0] < 0.05) == (expected.pvalue < 0.05)


def test_quarters_by_hand() -> None:
    """Sixteen people whose genuine and impostor means rise together: four chameleons, four phantoms, no dove or worm."""
    means = np.arange(16.0)
    people = PEOPLE.build([dict.fromkeys(PEOPLE.without("identity", "group"), 0) for _ in range(16)]).assign(
        identity=[f"p{n:02d}" for n in range(16)], group="A", genuine_mean=means, impostor_mean=means
    )
    kinds, rows = zoo_of._quarters("A", people)
    counts = {row[1]: row[2] for row in rows}
    assert counts == {"chameleon": 4, "phantom": 4, "dove": 0, "worm": 0}
    assert kinds["chameleon"].nonzero()[0].tolist() == [12, 13, 14, 15]
    assert {row[4] for row in rows} == {1.0}
    assert rows[0][5] == pytest.approx(stats.hypergeom(16, 4, 4).sf(3))
    assert rows[2][5] == pytest.approx(1)


def test_equal_means_are_in_no_quarter() -> None:
    """Of people who are all alike none is of a kind, whatever the order of their names; a tie at the end leaves a part out."""
    people = PEOPLE.build([dict.fromkeys(PEOPLE.without("identity", "group"), 0) for _ in range(16)]).assign(
        identity=[f"p{n:02d}" for n in range(16)], group="A"
    )
    alike = people.assign(genuine_mean=0.5, impostor_mean=0.1)
    kinds, rows = zoo_of._quarters("A", alike)
    assert not any(some.any() for some in kinds.values())
    assert [row[5] for row in rows] == [1, 1, 1, 1]
    tied = people.assign(genuine_mean=np.r_[np.zeros(2), np.ones(10), [2, 3, 4, 5]], impostor_mean=np.arange(16.0))
    kinds, rows = zoo_of._quarters("A", tied)
    assert kinds["phantom"].nonzero()[0].tolist() == [0, 1]
    assert kinds["chameleon"].nonzero()[0].tolist() == [12, 13, 14, 15]
    assert [row[4] for row in rows] == [1.0, 0.5, 1.0, 0.5]
    assert rows[1][5] == pytest.approx(stats.hypergeom(16, 2, 4).sf(1))


def test_chance_is_called_chance_and_goats_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty times nobody differs: about as many are called as expected. Where people differ, many more."""
    monkeypatch.setattr("fairlab.evaluation.people.DRAWS", 99)
    called, expected, ps = 0, 0.0, []
    for seed in range(20):
        found = zoo_of._called(sides_of(table_of(60, 10, seed))[:1], 0)["A", "goat"][1]
        row = dict(zip(zoo_of.ZOO, found, strict=True))
        called += row["people"]  # type: ignore[operator]
        expected += row["by_chance"]  # type: ignore[operator]
        ps.append(row["p"])
    assert abs(called - expected) < 4 * np.sqrt(expected)
    assert 0.2 < np.mean(ps) < 0.9  # type: ignore[arg-type]
    differing = menagerie(sides_of(table_of(60, 10, 0, effect=0.15)))
    zoo = differing.zoo.set_index("animal")
    assert zoo.loc["goat", "people"] > 2 * zoo.loc["goat", "by_chance"]
    assert (zoo.loc[["goat", "lamb or wolf", "chameleon", "phantom"], "p"] < 0.05).all()
    assert (differing.differ["p"] < 0.05).all()
    goats = differing.people[differing.people["zoo"].str.contains("goat")]
    assert (goats["fnmr_p"] <= 0.05).all()
    assert len(goats) == zoo.loc["goat", "people"]


def test_nothing_gives_empty_tables() -> None:
    assert matches(errors_by_person([]), PEOPLE)
    shares, lorenz = concentration([])
    assert matches(shares, SHARES)
    assert matches(lorenz, LORENZ)
    found = menagerie([])
    for table, schema in ((found.people, zoo_of.ZOO_PEOPLE), (found.zoo, zoo_of.ZOO), (found.differ, zoo_of.DIFFER)):
        assert matches(table, schema)
    without = menagerie(sides_of(table_of(8, 2, 0, threshold=-9.0)))
    missed = without.zoo.set_index("animal").loc["goat"]
    assert missed["people"] == 0
    assert np.isnan(missed["by_chance"])
