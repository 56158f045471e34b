"""EKD: anchors and ranks, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import Batch, Method
from fairlab.methods.ekd import Anchors, thresholds
from fairlab.methods.sp import pair_cosines
from fairlab.settings.distillation import EKDSettings
from tests.fixtures.golden import EMBEDDINGS, RELATIVES, TARGETS
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


GOLD = RELATIVES["G12"]
STUDENTS, TEACHERS = (torch.tensor(GOLD["inputs"][name], dtype=torch.float64) for name in ("student", "teacher"))
PEOPLE = torch.tensor(GOLD["inputs"]["labels"])
"""Four general images, then two identities with four images each."""


def parts_of(method: Method, students: Tensor = STUDENTS, **changes: Any) -> list[float]:
    """Term, and what each kind of pairs would make of it alone: (0.02 a + 0.01 b, a, b)."""
    batch = Batch(students, PEOPLE, functional.normalize(TEACHERS), **changes)
    whole = method.distillation(students, batch)
    anchors = method.get_submodule("head.anchors")
    assert isinstance(anchors, Anchors)
    student, teacher = (pair_cosines(rows)[torch.triu_indices(12, 12, 1).unbind()] for rows in (students, TEACHERS))
    first, second = torch.triu_indices(12, 12, 1)
    same = PEOPLE[first] == PEOPLE[second]
    apart = (anchors.ranks(student, 0) - anchors.ranks(teacher, 1)).square()
    return [float(value) for value in (whole, apart[same].mean(), apart[~same].mean())]


def golden_method(compat: bool) -> Method:
    return built("ekd", 8, distillation=EKDSettings(compat=compat)).double()


def test_three_steps_as_published_have_the_known_values() -> None:
    """G12: thresholds by the published index, anchors that move from zero before the loss of the step."""
    method = golden_method(compat=True)
    for expected in GOLD["outputs"]["steps_from_zero_anchors"]:
        assert parts_of(method) == pytest.approx(expected, abs=1e-9)


def test_both_thresholds_have_the_known_values() -> None:
    """G12: of the student's 54 impostor pairs; as anchors they give the known terms, ours those of its first step."""
    first, second = torch.triu_indices(12, 12, 1)
    student, teacher = (
        pair_cosines(rows)[first, second][PEOPLE[first] != PEOPLE[second]] for rows in (STUDENTS, TEACHERS)
    )
    assert len(student) == GOLD["outputs"]["impostor_pairs"]
    for compat, name in ((True, "thresholds_published"), (False, "thresholds_kth_largest")):
        assert thresholds(student, compat).tolist() == pytest.approx(GOLD["outputs"][name], abs=1e-9)
    assert parts_of(golden_method(compat=False)) == pytest.approx(GOLD["outputs"]["loss_with_kth_largest"], abs=1e-9)
    published = golden_method(compat=False)
    anchors = published.get_submodule("head.anchors")
    assert isinstance(anchors, Anchors)
    anchors.thresholds = torch.stack([thresholds(student, True), thresholds(teacher, True)])
    expected = GOLD["outputs"]["loss_with_published_thresholds"]
    assert parts_of(published.eval()) == pytest.approx(expected, abs=1e-9)


def test_anchors_as_published_start_at_zero() -> None:
    """G13: after n steps they have come 1 - 0.99^n of the way."""
    known = RELATIVES["G13"]["outputs"]
    anchors = Anchors(compat=True).double()
    for step in range(1, 461):
        anchors.update(torch.full((50,), 0.5, dtype=torch.float64), torch.full((50,), 1.0, dtype=torch.float64))
        if step in (100, 460):
            name = "n_460" if step == 460 else "ema_from_zero_after_n_steps_reaches_1_.99_n_of_the_thresholds_n_100"
            assert anchors.thresholds[1].tolist() == pytest.approx([known[name]] * 6, abs=1e-9)
            assert anchors.thresholds[0].tolist() == pytest.approx([known[name] / 2] * 6, abs=1e-9)


def test_the_identity_loss_is_over_the_general_half_and_the_distillation_over_all() -> None:
    """As published; without halves (identity SA6) it is over the whole batch."""
    method = golden_method(compat=False)
    batch = Batch(STUDENTS, PEOPLE, functional.normalize(TEACHERS), general=4)
    assert method.head is not None
    torch.manual_seed(1)
    four = method.head.loss(STUDENTS[:4], PEOPLE[:4])
    torch.manual_seed(1)
    terms = method.terms((STUDENTS,), batch)
    torch.testing.assert_close(terms["identity"], four)
    assert float(terms["distillation"]) == pytest.approx(GOLD["outputs"]["loss_with_kth_largest"][0], abs=1e-9)
    torch.manual_seed(1)
    whole = method.head.loss(STUDENTS, PEOPLE)
    torch.manual_seed(1)
    torch.testing.assert_close(method.terms((STUDENTS,), replace(batch, general=None))["identity"], whole)
    assert method.readings() == {"genuine_pairs": GOLD["outputs"]["genuine_pairs"]}


def test_an_image_in_both_halves_makes_no_pair_with_itself() -> None:
    """It would be similar by 1 for student and teacher. Rows 4 and 5 are one image; the others' pairs count as before."""
    students, teachers = STUDENTS.clone(), TEACHERS.clone()
    students[5], teachers[5] = students[4], teachers[4]
    images = torch.tensor([0, 1, 2, 3, 9, 9, 6, 7, 10, 11, 12, 13])
    targets = functional.normalize(teachers)
    results = {}
    for name, known in (("with", None), ("without", images)):
        method = golden_method(compat=False).eval()
        anchors = method.get_submodule("head.anchors")
        assert isinstance(anchors, Anchors)
        anchors.thresholds = torch.full((2, 6), 0.99, dtype=torch.float64)
        value = method.distillation(students, Batch(students, PEOPLE, targets, general=4, images=known))
        results[name] = float(value), int(method.readings()["genuine_pairs"])
    first, second = torch.triu_indices(12, 12, 1)
    apart = (
        anchors.ranks(pair_cosines(students)[first, second], 0)
        - anchors.ranks(pair_cosines(teachers)[first, second], 1)
    ).square()
    same = PEOPLE[first] == PEOPLE[second]
    others = apart[same & ~((first == 4) & (second == 5))]
    assert len(others) == 11
    expected = 0.02 * float(others.mean()) + 0.01 * float(apart[~same].mean())
    assert results["without"] == (pytest.approx(expected, abs=1e-12), 11)
    assert results["with"][1] == 12
    assert results["with"][0] < results["without"][0]
