from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.demo.pairs import draw_pairs, nearest_people
from fairlab.errors import FairLabError
from fairlab.tables import PAIRS


def world(groups: int, people: int, images: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """People on a line: person i of a group has the factor i, so neighbours look alike."""
    rows = [
        (f"g{group}p{person:02d}", f"g{group}")
        for group in range(groups)
        for person in range(people)
        for _ in range(images)
    ]
    table = pd.DataFrame(rows, columns=["identity", "group"])
    table.insert(0, "image_id", np.arange(len(table)) + 100)
    return table, {name: np.array([float(name[-2:])]) for name in table["identity"].unique()}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 5), st.integers(3, 12), st.integers(2, 6), st.integers(10, 30), st.integers(1, 20), st.integers(0, 5)
)
def test_every_list_is_balanced_and_true(
    groups: int, people: int, images: int, count: int, hard: int, seed: int
) -> None:
    """Per group: as many impostor as genuine pairs in every fold, genuine first, folds contiguous, no pair
    twice, genuine exactly when the identity is the same, and both images of the pair's group.
    """
    table, factors = world(groups, people, images)
    possible = people * images * (images - 1) // 2
    if possible < count:
        with pytest.raises(FairLabError, match=f"give only {possible}"):
            draw_pairs(table, "test", factors, count, hard, seed)
        return
    pairs = draw_pairs(table, "test", factors, count, hard, seed)
    assert tuple(pairs.columns) == PAIRS
    assert len(pairs) == 2 * count * groups
    who = table.set_index("image_id")
    same = who.loc[pairs["image_a"], "identity"].to_numpy() == who.loc[pairs["image_b"], "identity"].to_numpy()
    assert (same == pairs["genuine"]).all()
    for side in ("image_a", "image_b"):
        assert (who.loc[pairs[side], "group"].to_numpy() == pairs["group"]).all()
    ordered = np.sort(pairs[["image_a", "image_b"]].to_numpy(), axis=1)
    assert len(np.unique(ordered, axis=0)) == len(pairs)
    assert (ordered[:, 0] < ordered[:, 1]).all()
    for _, own in pairs.groupby("group"):
        assert own["fold"].is_monotonic_increasing
        assert set(own["fold"]) == set(range(10))
        sizes = own.groupby(["fold", "genuine"]).size().unstack()
        assert (sizes[True] == sizes[False]).all()
        assert sizes[True].max() - sizes[True].min() <= 1
        assert all(fold["genuine"].is_monotonic_decreasing for _, fold in own.groupby("fold"))


def test_impostors_are_look_alikes() -> None:
    """Each joins a person to one of the `hard` nearest; without factors, to anybody."""
    table, factors = world(1, 30, 4)
    who = table.set_index("image_id")["identity"].str[-2:].astype(int)

    def gaps(with_factors: bool) -> np.ndarray:
        pairs = draw_pairs(table, "test", factors if with_factors else None, 100, 4, 0)
        impostor = pairs[~pairs["genuine"]]
        return np.abs(who[impostor["image_a"]].to_numpy() - who[impostor["image_b"]].to_numpy())

    assert gaps(True).max() <= 4  # at the ends of the line the four nearest are up to 4 away
    assert gaps(False).max() > 15


def test_everybody_takes_part_equally() -> None:
    """28 pairs of each of 40 people, as the demo's test list has them; a person's pairs lie in one fold."""
    table, factors = world(1, 40, 8)
    pairs = draw_pairs(table, "test", factors, 1120, 12, 0)
    genuine = pairs[pairs["genuine"]].merge(table, left_on="image_a", right_on="image_id")
    assert (genuine.groupby("identity").size() == 28).all()
    assert (genuine.groupby("identity")["fold"].nunique() == 1).all()


def test_lists_depend_on_seed_and_protocol_only() -> None:
    """The same again for the same; another for another seed or protocol."""
    table, factors = world(2, 6, 5)
    first, again, other, named = (
        draw_pairs(table, protocol, factors, 30, 3, seed)
        for protocol, seed in (("test", 0), ("test", 0), ("test", 1), ("validation", 0))
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["image_b"].equals(other["image_b"])
    assert not first["image_b"].equals(named["image_b"])


def test_too_few_impostors_are_said() -> None:
    """Two people of two images each have only four different impostor pairs."""
    table, factors = world(1, 3, 5)
    with pytest.raises(FairLabError, match="raise hard_impostors"):
        draw_pairs(pd.concat([table[:5], table[5:7]]), "test", factors, 11, 1, 0)


def test_nearest_people_against_brute_force() -> None:
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(20, 5))
    distance = np.linalg.norm(factors[:, None] - factors[None], axis=-1)
    assert (nearest_people(factors, 3) == np.argsort(distance, axis=1)[:, 1:4]).all()
