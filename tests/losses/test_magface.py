"""MagFace against known values: margin and penalty follow the embedding's length."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.settings.loss import ArcFaceSettings, MagFaceSettings
from fairlab.settings.parsing import parse
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, IDENTITIES
from tests.losses.heads import cross_entropy, golden_head


def of_length(*lengths: float) -> torch.Tensor:
    """Embeddings of these lengths."""
    return torch.tensor(lengths, dtype=torch.float64)[:, None] * functional.normalize(EMBEDDINGS[: len(lengths)])


def test_cross_entropy_and_penalty_are_the_known_ones() -> None:
    """Golden values of ten times the embeddings; the paper's weight of the penalty is 35."""
    head = golden_head("magface")
    assert cross_entropy(head, 10.0) == pytest.approx(GOLDEN["magface(X*10)_CE"], abs=1e-9)
    assert float(head.penalty(10 * EMBEDDINGS)) == pytest.approx(35 * GOLDEN["magface_g"], abs=1e-9)


def test_the_loss_is_their_sum() -> None:
    """What a method learns from."""
    expected = GOLDEN["magface(X*10)_CE"] + 35 * GOLDEN["magface_g"]
    head = golden_head("magface")
    assert float(head.loss(10 * EMBEDDINGS, IDENTITIES).detach()) == pytest.approx(expected, abs=1e-9)
    plain = functional.cross_entropy(head(EMBEDDINGS), IDENTITIES)
    torch.testing.assert_close(head.eval().loss(EMBEDDINGS, IDENTITIES), plain)


@pytest.mark.parametrize(("length", "margin"), [(10, 0.45), (60, 0.625), (110, 0.8)])
def test_the_margin_rises_linearly_with_the_length(length: float, margin: float) -> None:
    """m(10) = 0.45, m(110) = 0.8 (identity H9)."""
    found = golden_head("magface").margin_at(torch.tensor(float(length)))
    assert float(found) == pytest.approx(margin, abs=1e-6)
    cosine = torch.tensor([math.cos(1.0)], dtype=torch.float64)
    changed = golden_head("magface").target(cosine, torch.tensor([length], dtype=torch.float64))
    assert float(changed) == pytest.approx(math.cos(1.0 + margin), abs=1e-9)


@pytest.mark.parametrize(("length", "value"), [(10.0, "magface_g_at_la10"), (110.0, "magface_g_min_at_ua")])
def test_the_penalty_is_smallest_for_the_longest(length: float, value: str) -> None:
    """g(10) = .1008264, g(110) = .0181818 (identity H9); outside the limits as at them."""
    head = golden_head("magface", norm_weight=1.0)
    assert float(head.penalty(of_length(length))) == pytest.approx(GOLDEN[value], abs=1e-12)
    beyond = length / 3 if length == 10 else length * 3
    assert float(head.penalty(of_length(beyond))) == pytest.approx(GOLDEN[value], abs=1e-12)
    between = [float(head.penalty(of_length(a))) for a in (10, 30, 60, 90, 110)]
    assert between == sorted(between, reverse=True)


def test_the_penalty_asks_for_length_and_nothing_else() -> None:
    """Its gradient lies along the embedding: 1/n^2 - 1/a^2 within the limits, zero outside."""
    x = of_length(5.0, 20.0, 100.0, 200.0).requires_grad_()
    golden_head("magface", norm_weight=4.0).penalty(x).backward()
    assert x.grad is not None
    direction = functional.normalize(x.detach())
    along = (x.grad * direction).sum(1)
    expected = [0.0, 1 / 110**2 - 1 / 20**2, 1 / 110**2 - 1 / 100**2, 0.0]
    assert along.tolist() == pytest.approx(expected, abs=1e-12)
    assert float((x.grad - along[:, None] * direction).abs().max()) < 1e-12


def test_beyond_a_right_angle_there_is_no_margin() -> None:
    """Easy margin."""
    cosines = torch.tensor([-0.3, -1e-9, 0.3], dtype=torch.float64)
    found = golden_head("magface").target(cosines, torch.full((3,), 10.0, dtype=torch.float64))
    assert found[:2].tolist() == cosines[:2].tolist()
    assert float(found[2]) == pytest.approx(math.cos(math.acos(0.3) + 0.45), abs=1e-9)


def test_one_margin_for_all_is_arcface_where_cosines_are_positive() -> None:
    """m(a) = 0.5 at both limits."""
    x = golden_head("arcface").weight.detach()[IDENTITIES] + 0.3 * EMBEDDINGS
    head = golden_head("magface", margin_low_rad=0.5, margin_high_rad=0.5)
    torch.testing.assert_close(head(x, IDENTITIES), golden_head("arcface")(x, IDENTITIES))


def test_limits_that_do_not_rise_are_one_sentence() -> None:
    """Given both, or one against the paper's other; other losses have no such limits."""
    with pytest.raises(FairLabError, match="magface needs norm_low below norm_high; they are 200 and 110"):
        parse(MagFaceSettings, {"norm_low": 200}, "test")
    with pytest.raises(FairLabError, match=r"margin_low_rad below margin_high_rad; they are 0\.6 and 0\.5"):
        parse(MagFaceSettings, {"margin_low_rad": 0.6, "margin_high_rad": 0.5}, "test")
    with pytest.raises(
        FairLabError, match="arcface has no setting 'norm_low'; it knows: scale, sample_rate, margin_rad"
    ):
        parse(ArcFaceSettings, {"norm_low": 200}, "test")
