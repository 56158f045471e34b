"""Error against discard: rates by hand, the two limits of quality, and intervals with known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from fairlab.errors import FairLabError
from fairlab.evaluation.discard import STEPS, Rule, discard
from fairlab.evaluation.error_pairs import DECIDED
from fairlab.tables import ALL_GROUPS


def genuine_pairs(wrong: np.ndarray, groups: np.ndarray, people: np.ndarray) -> pd.DataFrame:
    """Decided genuine pairs (P,): which are wrong, of which group and person."""
    score = np.where(wrong, 0.1, 0.9)
    columns = (np.arange(len(wrong)), True, ~wrong, score, 0.5, score - 0.5, groups, groups, people, people)
    return DECIDED.of(dict(zip(DECIDED, columns, strict=True)))


def test_six_pairs_by_hand() -> None:
    """Qualities 1 to 6, the pairs of 1 and 3 wrong. Leaving out a third leaves 1 of 4 wrong; ties go together."""
    wrong = np.array([True, False, True, False, False, False])
    table = genuine_pairs(wrong, np.repeat("A", 6), np.array(list("uvwxyz")))
    found = discard(table, np.arange(1.0, 7), "false-non-match", most=0.5)
    curve = found.curves.set_index(found.curves["wanted"].round(3))
    assert curve.loc[0.0, ["pairs", "errors"]].tolist() == [6, 2]
    assert curve.loc[0.35, ["pairs", "errors", "left_out"]].tolist() == pytest.approx([4, 1, 1 / 3])
    assert curve.loc[0.5, ["pairs", "errors", "rate", "ideal"]].tolist() == [3, 0, 0.0, 0.0]
    # 1/6 out at .175 .. .325 leaves 1/5, 2/6 at .35 .. .475 leaves 1/4, 3/6 at .5 leaves 0; trapezoid over 21 cuts
    rates = np.array([2 / 6] * 7 + [1 / 5] * 7 + [1 / 4] * 6 + [0.0])
    assert found.areas["area"].iloc[0] == pytest.approx(np.trapezoid(rates, dx=1 / STEPS))
    tied = discard(table, np.array([1.0, 1, 1, 2, 2, 2]), "false-non-match", most=0.49)
    assert (tied.curves["pairs"] == 6).all()


def test_perfect_quality_is_the_ideal_and_random_quality_gains_nothing() -> None:
    random = np.random.default_rng(0)
    wrong = random.random(4000) < 0.1
    table = genuine_pairs(wrong, np.repeat("A", 4000), np.arange(4000).astype(str))
    perfect = discard(table, np.where(wrong, 0.0, 1.0) + 1e-9 * np.arange(4000), "false-non-match")
    np.testing.assert_allclose(perfect.curves["rate"], perfect.curves["ideal"], atol=1e-12)
    chance = discard(table, random.random(4000), "false-non-match").areas.iloc[0]
    assert chance["gain_low"] < 0 < chance["gain_high"]
    assert abs(chance["gain"]) < 0.005
    assert chance["ideal"] < 0.3 * chance["rate"]


def test_one_limit_leaves_out_more_of_the_group_with_worse_images() -> None:
    """Group B's images are worse by one standard deviation; the same share of each leaves out the same."""
    random = np.random.default_rng(1)
    groups = np.repeat(["A", "B"], 3000)
    quality = random.normal(size=6000) - (groups == "B")
    wrong = random.random(6000) < 1 / (1 + np.exp(2 * quality + 2))
    table = genuine_pairs(wrong, groups, np.arange(6000).astype(str))
    shared = discard(table, quality, "false-non-match").gaps.query("group == 'B'").iloc[-1]
    # shares below one limit of N(0,1) and N(-1,1) whose mean is .2: .0742 and .3258
    from scipy.optimize import brentq
    from scipy.stats import norm

    limit = brentq(lambda x: norm.cdf(x) + norm.cdf(x + 1) - 0.4, -5, 5)
    assert shared["left_out"] == pytest.approx(norm.cdf(limit + 1), abs=0.02)
    assert shared["others_left_out"] == pytest.approx(norm.cdf(limit), abs=0.02)
    assert shared["high"] < 0, "the gap closes where the worse images go"
    each = discard(table, quality, "false-non-match", "each").gaps.query("group == 'B'").iloc[-1]
    assert each["left_out"] == pytest.approx(0.2, abs=1e-3)
    assert each["others_left_out"] == pytest.approx(0.2, abs=1e-3)


def test_all_groups_together_keep_what_each_keeps() -> None:
    """With the same share of every group, the pooled counts are the groups' counts added up; there is no common limit."""
    random = np.random.default_rng(6)
    groups = np.repeat(["A", "B"], 500)
    quality = random.normal(size=1000) - 2 * (groups == "B")
    wrong = random.random(1000) < 1 / (1 + np.exp(quality + 1))
    table = genuine_pairs(wrong, groups, np.arange(1000).astype(str))
    curves = discard(table, quality, "false-non-match", "each").curves.set_index(["group", "wanted"])
    for name in ("pairs", "errors"):
        assert (curves.loc["A", name] + curves.loc["B", name] == curves.loc[ALL_GROUPS, name]).all()
    assert curves.loc[ALL_GROUPS, "limit"].iloc[1:].isna().all()


@pytest.mark.parametrize("rule", ["shared", "each"])
def test_a_group_without_quality_is_left_out_and_named(rule: Rule) -> None:
    """The others' numbers are as if it were not there."""
    random = np.random.default_rng(7)
    groups = np.repeat(["A", "B", "C"], 300)
    quality, wrong = random.normal(size=900), random.random(900) < 0.3
    table = genuine_pairs(wrong, groups, np.arange(900).astype(str))
    found = discard(table, np.where(groups == "C", np.nan, quality), "false-non-match", rule)
    assert found.notes == ("C is left out: none of its 300 pairs has a known quality",)
    alone = discard(table[groups != "C"].reset_index(drop=True), quality[groups != "C"], "false-non-match", rule)
    for name in ("curves", "areas", "gaps"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(alone, name))


def test_the_interval_of_a_gap_s_change_adds_up_over_groups() -> None:
    """Three groups of people with one pair each: the variance of a ratio of means by hand, a third group's at a quarter."""
    random = np.random.default_rng(4)
    groups = np.repeat(["A", "B", "C"], [200, 300, 400])
    quality, wrong = random.normal(size=900), random.random(900) < 0.3
    table = genuine_pairs(wrong, groups, np.arange(900).astype(str))
    last = discard(table, quality, "false-non-match").gaps.iloc[-3:].set_index("group")
    limit = np.sort(quality)[180]
    change, variance = {}, {}
    for name in "ABC":
        own, kept = wrong[groups == name].astype(float), quality[groups == name] >= limit
        before, after = own.mean(), own[kept].mean()
        influence = (own - after) * kept / kept.mean() - (own - before)
        change[name], variance[name] = after - before, influence.var(ddof=1) / len(own)
    reach = t.ppf(0.975, 199) * np.sqrt(variance["A"] + (variance["B"] + variance["C"]) / 4)
    want = change["A"] - (change["B"] + change["C"]) / 2
    assert last.loc["A", ["change", "low", "high"]].tolist() == pytest.approx([want, want - reach, want + reach])


def test_intervals_contain_what_is_true() -> None:
    """300 sets of 60 people with 6 pairs each, errors that people share: the area's interval holds the true one in .95 of them."""

    def one(random: np.random.Generator, people: int) -> tuple[pd.DataFrame, np.ndarray]:
        who = np.repeat(np.arange(people), 6)
        quality = random.normal(size=len(who)) + 0.7 * random.normal(size=people)[who]
        wrong = random.random(len(who)) < 1 / (1 + np.exp(1.5 * quality + 1))
        return genuine_pairs(wrong, np.repeat("A", len(who)), who.astype(str)), quality

    truth = discard(*one(np.random.default_rng(9), 100_000), "false-non-match").areas.iloc[0]
    inside = np.zeros(2)
    for seed in range(300):
        found = discard(*one(np.random.default_rng(seed), 60), "false-non-match").areas.iloc[0]
        inside += [
            found["low"] <= truth["area"] <= found["high"],
            found["gain_low"] <= truth["gain"] <= found["gain_high"],
        ]
    assert (inside / 300 >= 0.90).all(), inside / 300


def test_impostor_pairs_and_all_groups() -> None:
    """False matches of impostor pairs: the pairs of all groups together are the last curve."""
    columns = (range(4), False, [True, False, False, True], [0.9, 0.1, 0.1, 0.9], 0.5, [0.4, -0.4, -0.4, 0.4],
               list("AABB"), list("AABB"), list("abcd"), list("efgh"))  # fmt: skip
    table = DECIDED.of(dict(zip(DECIDED, columns, strict=True)))
    found = discard(table, np.array([1.0, 2, 3, 4]), "false-match", most=0.3)
    assert list(found.areas["group"]) == ["A", "B", ALL_GROUPS]
    last = found.curves.query("group == 'all'").iloc[-1]
    assert (last["pairs"], last["errors"]) == (3, 1)


@pytest.mark.parametrize(
    ("quality", "most", "said"),
    [
        ([1.0, 1.0], 0.2, "have the same quality"),
        ([np.nan, np.nan], 0.2, "no genuine pair has a known quality"),
        ([1.0, 2.0], 1.5, "between 0 and 1"),
    ],
)
def test_what_has_no_curve_is_said(quality: list[float], most: float, said: str) -> None:
    table = genuine_pairs(np.array([True, False]), np.repeat("A", 2), np.array(["u", "v"]))
    with pytest.raises(FairLabError, match=said):
        discard(table, np.array(quality), "false-non-match", most=most)
