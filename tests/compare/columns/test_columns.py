"""Columns of a space, against sums made one by one."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.columns import centroid, nearest
from fairlab.compare.columns.base import COLUMNS, labels, values
from fairlab.errors import FairLabError
from fairlab.store.index import index_over
from fairlab.ui.door.hover import score_to

PEOPLE = ["a", "a", "b", "b", "b", "c"]


class Stored:
    """Embeddings in memory; image 10 has none."""

    def __init__(self) -> None:
        vectors = np.random.default_rng(0).normal(size=(len(PEOPLE), 5))
        self.norms = np.linalg.norm(vectors, axis=1).astype(np.float32)
        self.vectors = (vectors / self.norms[:, None]).astype(np.float32)
        self.ids = np.arange(len(PEOPLE))

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        return np.asarray(ids)


def _space() -> Any:
    images = pd.DataFrame({"identity": PEOPLE, "group": ["x"] * 6, "attribute.age": [1, 2, 3, 4, 5, None]})
    stored = Stored()
    return SimpleNamespace(
        embeddings=stored, index=index_over(stored.ids, stored.vectors), data=SimpleNamespace(images=images, info={})
    )


def _by_hand(space: Any, image: int) -> float:
    """Cosine to the mean of the person's other images."""
    vectors = space.embeddings.vectors.astype(np.float64)
    others = [n for n, name in enumerate(PEOPLE) if name == PEOPLE[image] and n != image]
    mean = vectors[others].mean(axis=0)
    return float(vectors[image] @ mean / np.linalg.norm(mean))


@pytest.mark.parametrize("block", [2, 32_768])
def test_the_score_to_the_other_images_of_a_person(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Block by block as one by one; a person of one image has none; the pointer says the same."""
    monkeypatch.setattr(centroid, "BLOCK", block)
    space = _space()
    found = values(space, "centroid", np.array([4, 0, 5, 2]))
    assert found[[0, 1, 3]].tolist() == pytest.approx([_by_hand(space, n) for n in (4, 0, 2)], abs=1e-5)
    assert np.isnan(found[2])
    assert score_to(space.embeddings, 4, np.array([2, 3])) == pytest.approx(_by_hand(space, 4), abs=1e-6)
    assert score_to(space.embeddings, 5, np.array([], dtype=int)) is None


def test_the_nearest_is_searched_for_an_even_part_where_all_would_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was not searched for is said, not guessed."""
    space = _space()
    vectors = space.embeddings.vectors
    cosines = vectors @ vectors.T - 9 * np.eye(len(vectors))
    same = [PEOPLE[best] == PEOPLE[n] for n, best in enumerate(cosines.argmax(1))]
    wanted = [nearest.SAME if one else nearest.OTHER for one in same]
    assert values(space, "nearest", np.arange(6)).tolist() == wanted
    monkeypatch.setattr(nearest, "BUDGET", 3 * 6 * 5)
    found = values(space, "nearest", np.arange(6)).tolist()
    assert found[::2] == wanted[::2]
    assert found[1::2] == [nearest.NOT_SEARCHED] * 3


def test_columns_of_the_table_and_of_the_folder_have_labels() -> None:
    """Attributes under their own name; what is unknown is said; another name is refused with those there are."""
    space = _space()
    assert labels(space.data)["attribute.age"] == "age"
    assert set(COLUMNS) <= set(labels(space.data))
    assert values(space, "group", np.array([1])).tolist() == ["x"]
    assert np.isnan(values(space, "attribute.age", np.array([5]))[0])
    with pytest.raises(FairLabError, match=r"coloured by 'nonsense'; columns are: group"):
        values(space, "nonsense", np.array([0]))
