"""AdaFace against known values, its limits, and what it remembers."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from tests.fixtures.golden import EMBEDDINGS, GOLDEN, IDENTITIES
from tests.losses.heads import cross_entropy, golden_head

LENGTHS = torch.linalg.vector_norm(EMBEDDINGS, dim=1)


@pytest.mark.parametrize(("scale", "name"), [(64, "adaface_m.4_h.333_talpha1_CE"), (8, "adaface_s8_CE")])
def test_cross_entropy_is_the_known_one(scale: float, name: str) -> None:
    """Golden values with a batch that counts fully (t_alpha = 1); m = 0.4 and h = 0.333 are the paper's."""
    assert cross_entropy(golden_head("adaface", scale=scale, ema_weight=1.0)) == pytest.approx(GOLDEN[name], abs=1e-9)


def test_standing_of_the_lengths_is_the_known_one() -> None:
    """Golden z of the four embeddings."""
    z = golden_head("adaface", ema_weight=1.0).standing(LENGTHS)
    assert z.tolist() == pytest.approx(GOLDEN["adaface_margin_scaler"], abs=1e-12)


@pytest.mark.parametrize("theta", [0.7, 1.2, 1.9])
@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (1e-3, lambda theta: math.cos(theta + 0.4)),  # z = -1: ArcFace
        (50.0, lambda theta: math.cos(theta) - 0.4),  # z = 0: CosFace
        (100.0, lambda theta: math.cos(theta - 0.4) - 0.8),  # z = 1
    ],
)
def test_limits_are_the_closed_forms(theta: float, length: float, expected: object) -> None:
    """Identity H8, with a mean length of 50 and h so large against the spread that z is cut at -1 and 1."""
    head = golden_head("adaface", ema_weight=1e-12, norm_concentration=1.0)
    head.norm_mean.fill_(50.0)
    head.norm_std.fill_(1.0)
    cosine = torch.tensor([math.cos(theta)], dtype=torch.float64)
    found = float(head.target(cosine, torch.tensor([length], dtype=torch.float64)))
    assert found == pytest.approx(expected(theta), abs=1e-12)  # type: ignore[operator]


def test_with_equal_lengths_it_is_cosface() -> None:
    """Identity H8: z = 0 for all once the running mean is that length; h = 0 does it too."""
    same = EMBEDDINGS / LENGTHS[:, None] * 7
    wanted = golden_head("cosface", margin_cos=0.4)(same, IDENTITIES)
    torch.testing.assert_close(golden_head("adaface", ema_weight=1.0)(same, IDENTITIES), wanted, atol=1e-9, rtol=0)
    flat = golden_head("adaface", norm_concentration=0.0)
    torch.testing.assert_close(flat(EMBEDDINGS, IDENTITIES), wanted, atol=1e-9, rtol=0)


def test_compat_is_the_published_collapse_to_cosface() -> None:
    """The synthetic-gap code takes lengths after normalising: whatever they were, CosFace(0.4) is left.

    Near the class centres, because at right angles AdaFace's margin hardly depends on the length: sin(m z) - m z is 0.
    """
    near = golden_head("adaface").weight.detach()[IDENTITIES] + 0.3 * EMBEDDINGS
    stretched = near * torch.tensor([0.01, 1.0, 5.0, 90.0], dtype=torch.float64)[:, None]
    wanted = golden_head("cosface", margin_cos=0.4)(stretched, IDENTITIES)
    collapsed = golden_head("adaface", compat=True)
    torch.testing.assert_close(collapsed(stretched, IDENTITIES), wanted, atol=1e-9, rtol=0)
    whole = golden_head("adaface", ema_weight=1.0)(stretched, IDENTITIES)
    assert float((whole - wanted).detach().abs().max()) > 1.0


def test_running_figures_are_the_exponential_mean() -> None:
    """From 20 and 100 on, a batch counts with 0.01 unless told otherwise; lengths count as 1e-3 to 100."""
    head = golden_head("adaface")
    mean, spread = 20.0, 100.0
    for batch in ([3.0, 4.0, 9.0], [30.0, 2_000.0], [0.0, 8.0, 8.0, 8.0]):
        head.standing(torch.tensor(batch, dtype=torch.float64))
        kept = [min(max(length, 1e-3), 100.0) for length in batch]
        mean = 0.99 * mean + 0.01 * statistics.mean(kept)
        spread = 0.99 * spread + 0.01 * statistics.stdev(kept)
    assert float(head.norm_mean) == pytest.approx(mean, abs=1e-6)
    assert float(head.norm_std) == pytest.approx(spread, abs=1e-5)


def test_one_image_has_no_spread_and_changes_nothing() -> None:
    """Its standard deviation would be NaN for ever."""
    head = golden_head("adaface", ema_weight=1.0)
    assert torch.isfinite(head(EMBEDDINGS[:1], IDENTITIES[:1])).all()
    assert (float(head.norm_mean), float(head.norm_std)) == (20.0, 100.0)


def test_evaluation_remembers_nothing() -> None:
    """Only training batches count."""
    head = golden_head("adaface").eval()
    head(EMBEDDINGS, IDENTITIES)
    head.train()(EMBEDDINGS)
    assert (float(head.norm_mean), float(head.norm_std)) == (20.0, 100.0)


def test_no_gradient_goes_through_the_length() -> None:
    """Identity H8: the pull on an embedding is orthogonal to it, although the margin follows its length."""
    head = golden_head("adaface", ema_weight=1.0)
    x = (head.weight.detach()[IDENTITIES] + 0.3 * EMBEDDINGS).requires_grad_()
    head.loss(x, IDENTITIES).backward()
    assert x.grad is not None
    assert float(x.grad.norm()) > 0.1
    assert float((x.grad * x.detach()).sum(1).abs().max()) < 1e-9


def test_what_it_remembers_is_part_of_a_checkpoint() -> None:
    """Buffers, by name."""
    assert set(golden_head("adaface").state_dict()) == {"weight", "norm_mean", "norm_std"}
