"""What goes with errors: the fit against scikit-learn, planted causes and non-causes, and intervals with known truth."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from fairlab.errors import FairLabError
from fairlab.evaluation.causes import Causes, causes
from fairlab.evaluation.error_pairs import DECIDED


def a_set(
    seed: int, people: int = 60, cause: float = 1.2, unequal: float = 1.0, group: float = 0.0, luck: float = 0.5
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Genuine pairs of two groups, 8 of each person. B's images are less sharp by `unequal`; an error's log odds rise by `cause`
    where a pair is one step less sharp, by `group` in B, and by a person's own luck. Light differs in B too, and does nothing."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(2 * people), 8)
    of_b = who >= people
    own = random.normal(size=2 * people)[who]
    sharp = 0.5 * own[:, None] + random.normal(size=(len(who), 2)) - unequal * of_b[:, None]
    light = random.normal(size=(len(who), 2)) + of_b[:, None]
    odds = -1.5 - cause * sharp.mean(1) + group * of_b + luck * random.normal(size=2 * people)[who]
    wrong = random.random(len(who)) < 1 / (1 + np.exp(-odds))
    score = np.where(wrong, 0.1, 0.9)
    names, groups = who.astype(str), np.where(of_b, "B", "A")
    columns = (np.arange(len(who)), True, ~wrong, score, 0.5, score - 0.5, groups, groups, names, names)
    return DECIDED.of(dict(zip(DECIDED, columns, strict=True))), {"sharpness": sharp, "light": light}


def of(found: Causes, group: str = "B") -> pd.Series:
    return found.gaps.set_index("group").loc[group]


def test_the_fit_is_that_of_scikit_learn() -> None:
    """Odds ratios per standard deviation, and rates with traits held equal, from its unpenalised logistic regression."""
    table, traits = a_set(0)
    found = causes(table, traits, "false-non-match")
    columns = np.stack(
        [f(traits[name]) for name in traits for f in (lambda x: x.mean(1), lambda x: np.abs(np.diff(x))[:, 0])], 1
    )
    scaled = (columns - columns.mean(0)) / columns.std(0)
    of_b = (table["group_a"] == "B").to_numpy()
    design = np.column_stack([of_b, scaled])
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(design, ~table["match"].to_numpy(bool))
    np.testing.assert_allclose(found.effects["odds"], np.exp(theirs.coef_[0, 1:]), rtol=1e-5)
    rates = []
    for value in (0, 1):
        held = design.copy()
        held[:, 0] = value
        rates.append(theirs.predict_proba(held)[:, 1].mean())
    assert of(found)["equal_rate"] == pytest.approx(rates[1], abs=1e-6)
    assert of(found)["remains"] == pytest.approx(rates[1] - rates[0], abs=1e-6)
    wrong = ~table["match"].to_numpy(bool)
    assert of(found)["gap"] == pytest.approx(wrong[of_b].mean() - wrong[~of_b].mean(), abs=1e-12)
    assert of(found)["goes"] == pytest.approx(of(found)["gap"] - of(found)["remains"], abs=1e-12)


def test_scores_are_regressed_by_least_squares() -> None:
    table, traits = a_set(0)
    random = np.random.default_rng(5)
    score = 0.5 + 0.1 * traits["sharpness"].mean(1) + random.normal(0, 0.1, len(table))
    found = causes(table.assign(score=score), {"sharpness": traits["sharpness"]}, "false-non-match", "score")
    level, apart = traits["sharpness"].mean(1), np.abs(np.diff(traits["sharpness"]))[:, 0]
    of_b = (table["group_a"] == "B").to_numpy(float)
    theirs = np.linalg.lstsq(np.column_stack([1 - of_b, of_b, level, apart]), score, rcond=None)[0]
    assert of(found)["remains"] == pytest.approx(theirs[1] - theirs[0], abs=1e-9)
    assert found.effects["effect"].tolist() == pytest.approx(
        [theirs[2] * level.std(), theirs[3] * apart.std()], abs=1e-9
    )
    assert of(found)["remains_low"] < 0 < of(found)["remains_high"], "sharpness is all there is"


@cache
def truth() -> float:
    """The gap that remains in a set of 60,000 people."""
    return float(of(causes(*a_set(999, 30_000, 1.2, 1.0, 0.8, 1.5), "false-non-match"))["remains"])


def test_a_planted_cause_is_found_and_a_planted_non_cause_is_not() -> None:
    """50 sets in which sharpness is the cause, 50 in which light, which differs as much between the groups, is none."""
    found, blamed, left, goes = 0, 0, 0, 0
    for seed in range(50):
        one = causes(*a_set(seed), "false-non-match")
        effects = one.effects[(one.effects["of"] == "level").to_numpy()].set_index("trait")
        found += effects.loc["sharpness", "p_adjusted"] < 0.05 and effects.loc["sharpness", "high"] < 0
        blamed += effects.loc["light", "p_adjusted"] < 0.05
        left += of(one)["remains_low"] <= 0 <= of(one)["remains_high"]
        goes += of(one)["goes_low"] > 0
    assert found == goes == 50
    assert blamed <= 6  # 2.5 on average, and 6 or fewer in 99 % of such experiments
    assert left >= 42  # 47.5 on average: nothing but sharpness makes the gap


def test_what_a_group_has_beyond_the_traits_remains() -> None:
    """A gap of its own, planted beside the cause, and people of much luck of their own, whose 8 pairs are wrong together: the
    interval of what remains holds the true one, in 150 sets. With pairs taken for independent it was in 127 of them.
    """
    want = truth()
    assert want > 0.08
    inside = 0
    for seed in range(150):
        row = of(causes(*a_set(1000 + seed, 60, 1.2, 1.0, 0.8, 1.5), "false-non-match"))
        inside += row["remains_low"] <= want <= row["remains_high"]
    assert inside / 150 >= 0.90, inside


def test_a_trait_alone_and_last() -> None:
    """Two traits that say the same: each alone takes the gap along, beside the other hardly anything."""
    table, traits = a_set(3)
    twin = {
        "sharpness": traits["sharpness"],
        "focus": traits["sharpness"] + 0.01 * np.random.default_rng(0).normal(size=(len(table), 2)),
    }
    shares = causes(table, twin, "false-non-match").shares.query("group == 'B'").set_index("trait")
    assert (shares["alone_low"] > 0.02).all()
    assert (shares["last"].abs() < 0.02).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table, traits: (table, {}), "name a trait"),
        (lambda table, traits: (table, {"sharpness": traits["sharpness"] * 0}), "nothing can go with it"),
        (lambda table, traits: (table, {"age": np.tile([20.0, 30.0], (len(table), 1))}), "the same in all 960 pairs"),
        (lambda table, traits: (table, {"sharpness": traits["sharpness"] * np.nan}), "none has both images' sharpness"),
    ],
)
def test_what_cannot_be_asked(change, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FairLabError, match=said):
        causes(*change(*a_set(0)), "false-non-match")


def test_what_has_no_finite_answer_says_why() -> None:
    """A group without errors, a trait that parts errors from the rest, and too few errors: never a huge coefficient."""
    table, traits = a_set(0)
    right = table.assign(match=table["match"] | (table["group_a"] == "A"))
    found = causes(right, traits, "false-non-match")
    assert of(found)["reason"] == "group A has no errors at this operating point, so that its level is not finite"
    assert np.isnan(of(found)["remains"])
    assert not len(found.effects)
    parted = traits | {"oracle": np.where(table["match"], 1.0, -1.0)[:, None] * np.array([1.0, 1.0])}
    assert "parts the errors" in of(causes(table, parted, "false-non-match"))["reason"]
    for marked in (9, 200):  # a trait that few pairs have, all of them right: its effect has no finite estimate either
        right = np.flatnonzero(table["match"])[:marked]
        rare = np.zeros((len(table), 2))
        rare[right] = 1
        parted = causes(table, traits | {"rare": rare}, "false-non-match")
        assert "parts the errors" in of(parted)["reason"], marked
    few = a_set(1, people=6)
    assert "are few for 4 columns of traits and 2 groups" in causes(*few, "false-non-match").notes[0]
    rarely = table.assign(match=table["match"] & (np.arange(len(table)) % 40 == 0))
    assert " pairs without an error are few for" in causes(rarely, traits, "false-non-match").notes[0]
    gap = traits["light"].copy()
    gap[:100, 1] = np.nan
    found = causes(table, {"light": gap}, "false-non-match")
    assert (found.unknown, found.pairs) == (100, len(table) - 100)
    of_a = np.where((table["group_a"] == "A").to_numpy()[:, None], traits["light"], np.nan)
    alone = causes(table, {"light": of_a}, "false-non-match")
    assert alone.notes[0] == "B is left out: no pair of it knows all traits"
    assert alone.gaps["group"].tolist() == ["A"]
