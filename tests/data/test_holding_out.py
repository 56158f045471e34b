"""Held-out identities: disjoint from what is trained on, the same for every run of a seed, and their pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.holding_out import held_out_identities, held_out_pairs
from fairlab.data.sampling import training_rows
from fairlab.errors import FairLabError
from fairlab.settings.study import Data
from fairlab.tables import PAIRS


def table(*people: tuple[str, str, int], split: str = "train") -> pd.DataFrame:
    """Images of (name, group, how many)."""
    rows = [(name, group) for name, group, count in people for _ in range(count)]
    images = pd.DataFrame(rows, columns=["identity", "group"]).assign(split=split)
    return images.assign(image_id=np.arange(len(images)))


def crowd(groups: int, people: int, images: int) -> pd.DataFrame:
    return table(
        *((f"g{group}p{person:02d}", f"G{group}", images) for group in range(groups) for person in range(people))
    )


def data(share: float | None, **other: object) -> Data:
    return Data(dataset="d", held_out=share, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(("people", "share", "count"), [(20, 0.1, 2), (20, 0.25, 5), (21, 0.5, 10), (8, 0.01, 2)])
@pytest.mark.parametrize("groups", [1, 2, 7])
def test_a_share_of_every_group_is_held_out(groups: int, people: int, share: float, count: int) -> None:
    """round(share * n), at least two of each group, and nobody of them is trained on."""
    images = crowd(groups, people, 3)
    names = held_out_identities(images, data(share), 0)
    assert names == sorted(names)
    assert [sum(name.startswith(f"g{group}") for name in names) for group in range(groups)] == [count] * groups
    trained = images.loc[training_rows(images, data(share), 0)]
    assert set(trained["identity"]) == set(images["identity"]) - set(names)
    assert len(trained) == (people - count) * groups * 3


def test_without_the_field_everything_is_as_before() -> None:
    images = crowd(2, 6, 3)
    assert held_out_identities(images, data(None), 0) == []
    assert training_rows(images, data(None), 0).tolist() == list(range(36))
    assert data(0.0) == data(None)


def test_all_runs_of_a_seed_leave_out_the_same_people() -> None:
    """Whatever group or part they train on, and in whatever order the rows come; another seed leaves out others."""
    images = crowd(3, 20, 2)
    names = held_out_identities(images, data(0.2), 1)
    for other in (data(0.2, groups=("G1",)), data(0.2, parts=3, part=1)):
        assert held_out_identities(images, other, 1) == names
        assert not set(images.loc[training_rows(images, other, 1), "identity"]) & set(names)
        assert held_out_pairs(images, other, 1).equals(held_out_pairs(images, data(0.2), 1))
    assert held_out_identities(images.sample(frac=1, random_state=0), data(0.2), 1) == names
    assert held_out_identities(images, data(0.2), 2) != names


def test_parts_share_out_what_is_left() -> None:
    images = crowd(2, 20, 2)
    parts = [training_rows(images, data(0.2, parts=4, part=part), 3) for part in range(4)]
    assert sorted(np.concatenate(parts)) == training_rows(images, data(0.2), 3).tolist()
    assert all(images.loc[part].groupby("group")["identity"].nunique().tolist() == [4, 4] for part in parts)


def test_somebody_in_two_groups_is_out_of_both() -> None:
    """RFW has such people: held out for one group they are not trained on in the other."""
    images = pd.concat([crowd(2, 8, 2), table(("both", "G0", 2), ("both", "G1", 2))], ignore_index=True)
    images["image_id"] = np.arange(len(images))
    for seed in range(20):
        names = held_out_identities(images, data(0.25), seed)
        assert not set(images.loc[training_rows(images, data(0.25), seed), "identity"]) & set(names)


def test_other_splits_are_not_touched() -> None:
    images = pd.concat([crowd(1, 8, 2), crowd(1, 8, 2).assign(split="test")], ignore_index=True)
    images["identity"] += images["split"]
    images["image_id"] = np.arange(len(images))
    pairs = held_out_pairs(images, data(0.5), 0)
    assert set(images.loc[pairs["image_a"], "split"]) == {"train"}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 6), min_size=4, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.integers(0, 4),
    st.integers(1, 30),
)
def test_pairs_are_all_that_there_are_or_as_many_as_asked(sizes: list[int], share: float, seed: int, most: int) -> None:
    """Counted by brute force: genuine and impostor alike many, no pair twice, right truth, within the group."""
    images = table(*((f"p{number:02d}", "X", size) for number, size in enumerate(sizes)))
    names = held_out_identities(images, data(share), seed)
    own = [sizes[int(name[1:])] for name in names]
    genuine = sum(size * (size - 1) // 2 for size in own)
    impostor = sum(a * b for i, a in enumerate(own) for b in own[:i])
    if genuine == 0:
        with pytest.raises(FairLabError, match="'X' in data set d have only one image each"):
            held_out_pairs(images, data(share), seed, most)
        return
    pairs = held_out_pairs(images, data(share), seed, most)
    assert tuple(pairs.columns) == PAIRS
    assert pairs["genuine"].sum() == (~pairs["genuine"]).sum() == min(genuine, impostor, most)
    assert len({frozenset(pair) for pair in pairs[["image_a", "image_b"]].to_numpy().tolist()}) == len(pairs)
    first, second = (images.loc[pairs[side], "identity"].to_numpy() for side in ("image_a", "image_b"))
    assert ((first == second) == pairs["genuine"]).all()
    assert set(first) | set(second) <= set(names)
    assert set(pairs["protocol"]) == {"validation"}
    assert pairs["fold"].between(0, 9).all()
    assert held_out_pairs(images, data(share), seed, most).equals(pairs)


def test_a_large_group_gives_as_many_pairs_as_a_list_of_rfw() -> None:
    pairs = held_out_pairs(crowd(2, 30, 40), data(0.5), 0)
    assert pairs.groupby(["group", "genuine"]).size().tolist() == [3000] * 4
    assert sorted(pairs["fold"].unique()) == list(range(10))


def test_a_group_too_small_is_named() -> None:
    images = pd.concat([crowd(1, 8, 2), table(*((f"q{n}", "Small", 3) for n in range(3)))], ignore_index=True)
    with pytest.raises(FairLabError, match="group 'Small' of data set d has 3 identities to train on"):
        held_out_identities(images, data(0.1), 0)
