"""EKD: anchors and ranks, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairlab.methods.base import Batch, Method
from fairlab.methods.ekd import Anchors
from tests.fixtures.golden import EMBEDDINGS, TARGETS
from tests.methods.conftest import a_rotation, built


def test_the_first_anchors_are_the_largest_impostors() -> None:
    """Of 2,500 similarities the 250th, 25th, 2nd largest, and the largest where a share is below one."""
    values = torch.randperm(2500, generator=torch.Generator().manual_seed(0)).float() / 2500
    anchors = Anchors()
    anchors.update(values, values - 1)
    expected = torch.tensor([2250, 2475, 2498, 2499, 2499, 2499]) / 2500
    torch.testing.assert_close(anchors.thresholds, torch.stack([expected, expected - 1]))


def test_later_anchors_move_by_a_hundredth() -> None:
    """0.99 of the old and 0.01 of the new."""
    anchors = Anchors()
    for level in (0.2, 0.7):
        anchors.update(torch.full((50,), level), torch.zeros(50))
    torch.testing.assert_close(anchors.thresholds[0], torch.full((6,), 0.99 * 0.2 + 0.01 * 0.7))


def test_a_rank_is_the_number_of_anchors_below() -> None:
    """One half at an anchor; none and all far away."""
    anchors = Anchors()
    anchors.thresholds[0] = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    found = anchors.ranks(torch.tensor([-0.5, 0.1, 0.4, 0.7, 1.5]), 0)
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 2.5, 4.0, 6.0]), atol=1e-4, rtol=0)


def term(method: Method, students: Tensor, identities: list[int]) -> float:
    return float(method.distillation(students, Batch(students, torch.tensor(identities), TARGETS)))


def test_the_term_is_that_of_its_two_sets_of_pairs() -> None:
    """One genuine pair and five impostor pairs, from the definition, in plain Python."""
    import math

    method, y = built("ekd").double(), [0, 0, 1, 2]

    def cosine(v: Tensor, i: int, j: int) -> float:
        return float(torch.nn.functional.cosine_similarity(v[i], v[j], dim=0))

    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    impostors = [pair for pair in pairs if y[pair[0]] != y[pair[1]]]
    ranks = []
    for v in (EMBEDDINGS, TARGETS):
        anchor = max(cosine(v, *pair) for pair in impostors)  # all six: a tenth of five is less than one
        rank = {pair: 6 / (1 + math.exp(-max(-50.0, min(50.0, (cosine(v, *pair) - anchor) / 0.01)))) for pair in pairs}
        ranks.append(rank)
    apart = {pair: (ranks[0][pair] - ranks[1][pair]) ** 2 for pair in pairs}
    expected = 0.02 * apart[(0, 1)] + 0.01 * sum(apart[pair] for pair in impostors) / 5
    assert term(method, EMBEDDINGS, y) == pytest.approx(expected, rel=1e-6)


def test_it_is_zero_at_the_teacher_and_blind_to_rotation() -> None:
    """Identity R1, R2: with equal anchors."""
    assert term(built("ekd").double(), 3 * TARGETS @ a_rotation(8), [0, 0, 1, 2]) < 1e-12
    first, second = (term(built("ekd").double(), x, [0, 0, 1, 2]) for x in (EMBEDDINGS, EMBEDDINGS @ a_rotation(8)))
    assert first == pytest.approx(second, rel=1e-9)
    assert first > 1e-4


@pytest.mark.parametrize("identities", [[0, 1, 2, 3], [1, 1, 1, 1]])
def test_a_batch_of_one_kind_of_pairs_is_fine(identities: list[int]) -> None:
    """No genuine pairs, or no impostors: that part is zero, and nothing is NaN."""
    assert term(built("ekd"), EMBEDDINGS, identities) >= 0


def test_evaluation_moves_no_anchor() -> None:
    """And a checkpoint holds them."""
    method = built("ekd").eval()
    term(method, EMBEDDINGS, [0, 0, 1, 2])
    assert float(method.get_buffer("head.anchors.started")) == 0
    assert {"head.anchors.thresholds", "head.anchors.started"} <= set(method.state_dict())
