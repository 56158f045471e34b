"""Pairs cut by group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation.groups import cut
from fairlab.settings.study import Evaluation
from tests.evaluation.test_report import SETTINGS, scores_for, world


def test_every_pair_is_in_its_group_with_its_people() -> None:
    """The parts together are the list; the people drawn are those of the group's pairs."""
    images, pairs = world(people=5, groups=("b", "a"))
    scores = scores_for(pairs, 1)
    found = cut(images, pairs, scores, SETTINGS)
    assert [group.name for group in found] == ["b", "a"]
    assert sorted(np.concatenate([group.where for group in found])) == list(range(len(pairs)))
    for group in found:
        assert (group.scores == scores[group.where]).all()
        assert group.counts == (100, 100)
        assert group.bootstrap.identities == 5


def test_draws_hang_on_the_name_of_the_group_and_the_seed_only() -> None:
    """Another order of groups, or another group left out, redraws the same people; two groups do not share draws."""
    images, pairs = world(people=6)
    one = {group.name: group.bootstrap for group in cut(images, pairs, scores_for(pairs, 1), SETTINGS)}
    alone = pairs[pairs["group"] == "b"].reset_index(drop=True)
    (same,) = cut(images, alone, scores_for(alone, 1), SETTINGS)
    assert (one["b"].weights_genuine == same.bootstrap.weights_genuine).all()
    assert (one["a"].weights_genuine != one["b"].weights_genuine).any()
    (other,) = cut(images, alone, scores_for(alone, 1), Evaluation(bootstrap=200, seed=1))
    assert (other.bootstrap.weights_genuine != same.bootstrap.weights_genuine).any()


def _without_a_name(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.assign(group=pairs["group"].where(pairs["pair_id"] != 4))


def _unknown_image(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.assign(image_b=pairs["image_b"].where(pairs["pair_id"] != 4, 9999))


def _lying(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.assign(genuine=pairs["genuine"] ^ (pairs["pair_id"] == 4))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without_a_name, "pair 4 has no group"),
        (_unknown_image, "pair 4 names image 9999, which the images table does not have"),
        (_lying, "pair 4 is called impostor, but its images show a.* and a"),
        (lambda pairs: pairs.iloc[:0], "no pairs"),
    ],
)
def test_a_bad_pair_is_named(spoil: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    images, pairs = world(people=5)
    spoilt = spoil(pairs)
    with pytest.raises(FairLabError, match=said):
        cut(images, spoilt, np.zeros(len(spoilt)), SETTINGS)
