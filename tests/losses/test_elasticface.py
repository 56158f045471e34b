"""ElasticFace: draws around ArcFace and CosFace, and who gets which in the plus forms."""

from __future__ import annotations

import math

import pytest
import torch

from tests.fixtures.golden import EMBEDDINGS, GOLDEN, IDENTITIES
from tests.losses.heads import cross_entropy, golden_head

SPREAD = {
    "elastic_arcface": "sigma_rad",
    "elastic_arcface_plus": "sigma_plus_rad",
    "elastic_cosface": "sigma_cos",
    "elastic_cosface_plus": "sigma_cos",
}
MARGIN = {name: "margin_rad" if "arc" in name else "margin_cos" for name in SPREAD}
PAPERS = {  # arXiv 2109.09416: (m, sigma)
    "elastic_arcface": (0.5, 0.05),
    "elastic_arcface_plus": (0.5, 0.0175),
    "elastic_cosface": (0.35, 0.05),
    "elastic_cosface_plus": (0.35, 0.02),
}
EVERY = pytest.mark.parametrize("name", list(SPREAD))


def margins_of(name: str, cosines: torch.Tensor, **changes: float) -> torch.Tensor:
    """The drawn margins, taken back out of what they did to cosines (none of which wraps here)."""
    changed = golden_head(name, **changes).target(cosines, torch.ones_like(cosines))
    return torch.acos(changed) - torch.acos(cosines) if "arc" in name else cosines - changed


@EVERY
def test_without_spread_it_is_arcface_or_cosface(name: str) -> None:
    """sigma = 0 gives their golden values (identity H2), and m = 0 too NormSoftmax's (H1)."""
    golden = GOLDEN["arcface_m0.5_CE" if "arc" in name else "cosface_m0.35_CE"]
    assert cross_entropy(golden_head(name, **{SPREAD[name]: 0.0})) == pytest.approx(golden, abs=1e-9)
    plain = golden_head(name, **{SPREAD[name]: 0.0, MARGIN[name]: 0.0})
    assert cross_entropy(plain) == pytest.approx(GOLDEN["norm_softmax_s64_CE"], abs=1e-9)


def test_mean_over_draws_is_the_closed_form() -> None:
    """E[cos(theta + E)] = cos(theta + m) exp(-sigma^2 / 2) (identity H7)."""
    torch.manual_seed(5)
    count, sigma, theta = 400_000, 0.5, 1.2
    cosines = torch.full((count,), math.cos(theta), dtype=torch.float64)
    mean = float(golden_head("elastic_arcface", sigma_rad=sigma).target(cosines, cosines).mean())
    expected = math.cos(theta + 0.5) * math.exp(-(sigma**2) / 2)
    assert mean == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(count))
    assert abs(mean - math.cos(theta + 0.5)) > 0.01


@EVERY
def test_margins_have_the_papers_mean_and_spread(name: str) -> None:
    """N(m, sigma^2), one for each image; left empty, both are the paper's."""
    torch.manual_seed(6)
    margins = margins_of(name, torch.zeros(100_000, dtype=torch.float64))
    mean, spread = PAPERS[name]
    assert float(margins.mean()) == pytest.approx(mean, abs=1e-3)
    assert float(margins.std()) == pytest.approx(spread, rel=0.02)
    assert margins.unique().numel() > 99_000


@EVERY
def test_the_seed_of_the_step_decides_the_draws(name: str) -> None:
    """Same seed, same logits; another seed, others; so a resumed run repeats itself."""
    head = golden_head(name)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(head(EMBEDDINGS, IDENTITIES))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("compat", "key"),
    [(False, "rank_assignment(largest cos->smallest margin)"), (True, "official_assignment(margin[argsort])")],
)
def test_margins_are_handed_out_as_known(compat: bool, key: str) -> None:
    """Golden orders: by rank, and as the published code has it, which is the inverse permutation."""
    from fairlab.losses.elasticface import hand_out

    known = GOLDEN["elastic_plus"]
    cosines = torch.tensor(known["target_cos"], dtype=torch.float64)
    for draws in ([0.1, 0.2, 0.3, 0.4], [0.3, 0.1, 0.4, 0.2]):
        found = hand_out(torch.tensor(draws, dtype=torch.float64), cosines, compat)
        assert found.tolist() == known[key]


@pytest.mark.parametrize("name", ["elastic_arcface_plus", "elastic_cosface_plus"])
def test_the_farther_from_its_centre_the_larger_the_margin(name: str) -> None:
    """Over a whole batch, and with the published order not."""
    torch.manual_seed(7)
    cosines = torch.linspace(-0.5, 0.9, 40, dtype=torch.float64)[torch.randperm(40)]
    by_cosine = margins_of(name, cosines)[cosines.argsort(descending=True)]
    assert (by_cosine.diff() > 0).all()
    published = margins_of(name, cosines, compat=True)[cosines.argsort(descending=True)]
    assert not (published.diff() > 0).all()
