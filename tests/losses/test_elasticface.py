"""ElasticFace-Arc: draws around ArcFace."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fairlab.config import Loss
from fairlab.losses.elasticface import ElasticArcFace
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES


def a_head(sigma: float, margin: float = 0.5) -> ElasticArcFace:
    head = ElasticArcFace(8, 5, Loss(sigma_rad=sigma, margin_rad=margin)).double()
    head.weight.data = CENTRES.clone()
    return head


@pytest.mark.parametrize(("margin", "name"), [(0.5, "arcface_m0.5_CE"), (0.0, "norm_softmax_s64_CE")])
def test_without_spread_it_is_arcface(margin: float, name: str) -> None:
    """sigma = 0 gives ArcFace's golden value (METHODS H2), and m = 0 too NormSoftmax's (H1)."""
    loss = functional.cross_entropy(a_head(0.0, margin)(EMBEDDINGS, IDENTITIES), IDENTITIES)
    assert float(loss.detach()) == pytest.approx(GOLDEN[name], abs=1e-9)


def test_mean_over_draws_is_the_closed_form() -> None:
    """E[cos(theta + E)] = cos(theta + m) exp(-sigma^2 / 2) (METHODS H7)."""
    torch.manual_seed(5)
    count, sigma, theta = 400_000, 0.5, 1.2
    cosines = torch.full((count,), math.cos(theta), dtype=torch.float64)
    mean = float(a_head(sigma).target(cosines).mean())
    expected = math.cos(theta + 0.5) * math.exp(-(sigma**2) / 2)
    assert mean == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(count))
    assert abs(mean - math.cos(theta + 0.5)) > 0.01


def test_the_angles_have_the_given_mean_and_spread() -> None:
    """Angles taken back out of the logits are N(m, sigma^2), one for each image."""
    torch.manual_seed(6)
    logits = a_head(0.05).target(torch.zeros(100_000, dtype=torch.float64))
    angles = torch.acos(logits) - math.pi / 2
    assert float(angles.mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(angles.std()) == pytest.approx(0.05, rel=0.02)
    assert angles.unique().numel() > 99_000


def test_the_seed_of_the_step_decides_the_draws() -> None:
    """Same seed, same logits; another seed, others; so a resumed run repeats itself."""
    head = a_head(0.05)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(head(EMBEDDINGS, IDENTITIES))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
