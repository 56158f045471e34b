"""The hardest impostors of all comparisons: those that going through them one by one finds, on every engine and split."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation.all_pairs import hardest as mining
from fairlab.evaluation.all_pairs.counts import arrange, count_all
from fairlab.evaluation.all_pairs.hardest import HARDEST, least_scores, most_of
from fairlab.evaluation.all_pairs.report import evaluate_all
from fairlab.evaluation.all_pairs.shares import merged
from fairlab.evaluation.groups import Defaults
from fairlab.tables import matches
from tests.evaluation.all_pairs.test_counts import ENGINES, Make, exact_faces, one_by_one, small_blocks


@ENGINES
@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_they_are_those_of_one_by_one(make: Make, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every two groups all impostors that reach the lowest step which no more than `most` reach."""
    monkeypatch.setattr(mining, "MOST", most)
    monkeypatch.setattr(mining, "FEWEST", 1)
    vectors, group, people = exact_faces(1, 60, 3)
    arranged = arrange(group, people)
    engine = small_blocks(make(vectors, arranged), 11, 5)
    found = evaluate_all(
        "run",
        "all_pairs",
        vectors,
        arranged,
        Defaults((0.1,), 5),
        lambda *_: small_blocks(make(vectors, arranged), 11, 5),
    ).hardest
    assert matches(found, HARDEST)
    assert (np.diff(found["score"]) <= 0).all()
    first, second = np.triu_indices(len(vectors), 1)
    scores, same, of_first, of_second = one_by_one(vectors, group, people)
    _, kept = least_scores(count_all(vectors, arranged, engine), most)
    assert most_of(3) == most
    for one, name in enumerate(arranged.groups):
        for two in range(one, len(arranged.groups)):
            of = {(name, arranged.groups[two]), (arranged.groups[two], name)}
            met = np.array([pair in of for pair in zip(of_first, of_second, strict=True)]) & ~same
            ordered = np.sort(scores[met])[::-1]
            if len(ordered) > most:  # no more than most, and the next step down would be too many
                reached = ordered[ordered > ordered[most]]
            else:
                reached = ordered
            expected = met & np.isin(scores, reached)
            pairs = {frozenset(pair) for pair in zip(first[expected].tolist(), second[expected].tolist(), strict=True)}
            rows = found[[pair in of for pair in zip(found["group_a"], found["group_b"], strict=True)]]
            told = {frozenset(pair) for pair in zip(rows["image_a"].tolist(), rows["image_b"].tolist(), strict=True)}
            assert told == pairs
            assert len(rows) == kept[one, two] == len(pairs) <= most
            assert sorted(rows["score"]) == pytest.approx(sorted(scores[expected]))


def test_lists_are_put_behind_each_other_and_counts_added() -> None:
    one = {"met": np.array([1]), "hardest_list": np.array([[1, 2, 3]])}
    two = {"met": np.array([4]), "hardest_list": np.empty((0, 3), np.int64)}
    total = merged([one, two, one])
    assert total["met"].tolist() == [6]
    assert total["hardest_list"].tolist() == [[1, 2, 3], [1, 2, 3]]
    with pytest.raises(ValueError, match="cannot be added"):
        merged([one, {"met": np.array([4]), "hardest_list": np.empty((0, 2), np.int64)}])


def test_many_groups_keep_fewer_of_each_two() -> None:
    assert [most_of(groups) for groups in (1, 4, 40, 500)] == [200, 200, 121, 20]
