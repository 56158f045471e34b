from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.sampling import balanced_parts, identity_labels, part_sizes, training_rows
from fairlab.errors import FairLabError
from fairlab.settings.study import Data


@pytest.mark.parametrize(("count", "sizes"), [(7000, [1750] * 4), (6997, [1750, 1749, 1749, 1749]), (3, [1, 1, 1, 0])])
def test_part_sizes_are_the_papers(count: int, sizes: list[int]) -> None:
    """The official MST-KD split: l1 = ceil(n/4), then the ceiling of an equal share of what is left."""
    assert part_sizes(count, 4) == sizes


@settings(deadline=None)  # the machine may be busy
@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from("XYZ"), min_size=1),
    st.integers(1, 5),
    st.integers(0, 9),
)
def test_parts_are_balanced_and_independent_of_order(people: dict[str, str], parts: int, seed: int) -> None:
    """Every identity in exactly one part, each group spread evenly (+-1), whatever the order of the list."""
    names, groups = list(people), list(people.values())
    part = balanced_parts(names, groups, parts, seed)
    assert part.shape == (len(names),)
    for group in set(groups):
        counts = np.bincount(part[np.array(groups) == group], minlength=parts)
        assert counts.max() - counts.min() <= 1
        assert counts.tolist() == part_sizes(int(counts.sum()), parts)
    reversed_part = balanced_parts(names[::-1], groups[::-1], parts, seed)
    assert reversed_part[::-1].tolist() == part.tolist()


def test_another_seed_is_another_split() -> None:
    """The split is drawn, not the order of the names."""
    names = [f"p{i:03d}" for i in range(100)]
    first, again, other = (balanced_parts(names, ["X"] * 100, 4, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first.tolist() != sorted(first)


@pytest.fixture
def images() -> pd.DataFrame:
    rows = [
        (split, f"{group}{split}{person}", group)
        for split in ("train", "test")
        for group in ("X", "Y")
        for person in range(4)
        for _ in range(3)
    ]
    table = pd.DataFrame(rows, columns=["split", "identity", "group"])
    table["image_id"] = np.arange(len(table))
    return table


def test_rows_of_splits_and_groups(images: pd.DataFrame) -> None:
    """A specialised teacher sees its group's training images and no other."""
    rows = training_rows(images, Data(dataset="d", groups=("Y",)), seed=0)
    chosen = images.loc[rows]
    assert len(rows) == 12
    assert set(chosen["group"]) == {"Y"}
    assert set(chosen["split"]) == {"train"}
    assert len(training_rows(images, Data(dataset="d", splits=("train", "test")), seed=0)) == 48


def test_parts_share_the_images_out(images: pd.DataFrame) -> None:
    """The balanced parts are disjoint by identity and together are everything."""
    parts = [training_rows(images, Data(dataset="d", parts=2, part=part), seed=3) for part in range(2)]
    assert sorted(np.concatenate(parts)) == training_rows(images, Data(dataset="d"), seed=3).tolist()
    assert not set(images.loc[parts[0], "identity"]) & set(images.loc[parts[1], "identity"])
    assert all(images.loc[part].groupby("group")["identity"].nunique().tolist() == [2, 2] for part in parts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(dataset="d", splits=("nights",)), "no split 'nights'; it has: test, train"),
        (Data(dataset="d", groups=("Z",)), "group 'Z' has no image"),
        (Data(dataset="d", groups=("X",), parts=4), "leaves 1 identities"),
    ],
)
def test_nothing_to_train_on_is_said(images: pd.DataFrame, data: Data, message: str) -> None:
    """A missing split or group, or fewer than two identities, is an error that names it."""
    with pytest.raises(FairLabError, match=message):
        training_rows(images, data, seed=0)


def test_labels_follow_the_sorted_names() -> None:
    """0..C-1 in the order of the names, whatever the order of the rows (the official code's order is the
    disk's).
    """
    labels, names = identity_labels(pd.DataFrame({"identity": ["b", "a", "c", "b"]}))
    assert (labels.tolist(), names) == ([1, 0, 2, 1], ["a", "b", "c"])
    assert labels.dtype == np.int64
