"""CosFace against known values."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.fixtures.golden import EMBEDDINGS, GOLDEN, IDENTITIES
from tests.losses.heads import cross_entropy, golden_head


@pytest.mark.parametrize(
    ("scale", "name"), [(64, "cosface_m0.35_CE"), (8, "cosface_s8_m0.35_CE"), (1, "cosface_s1_m0.35_CE")]
)
def test_cross_entropy_is_the_known_one(scale: float, name: str) -> None:
    """Golden values at the paper's m = 0.35, which is what an empty setting means."""
    assert cross_entropy(golden_head("cosface", scale=scale)) == pytest.approx(GOLDEN[name], abs=1e-9)
    assert cross_entropy(golden_head("cosface", scale=scale, margin_cos=0.35)) == pytest.approx(GOLDEN[name], abs=1e-9)


def test_no_margin_is_norm_softmax() -> None:
    """Identity H1."""
    assert cross_entropy(golden_head("cosface", margin_cos=0.0)) == pytest.approx(
        GOLDEN["norm_softmax_s64_CE"], abs=1e-9
    )


def test_a_larger_margin_always_costs_more() -> None:
    """At every angle (identity H4)."""
    losses = [cross_entropy(golden_head("cosface", margin_cos=margin)) for margin in (0.0, 0.1, 0.35, 0.5, 1.0)]
    assert losses == sorted(losses)
    assert len(set(losses)) == len(losses)


def test_only_the_targets_logit_differs_and_by_s_times_m() -> None:
    """64 x 0.35 = 22.4 lower."""
    head = golden_head("cosface")
    difference = head(EMBEDDINGS) - head(EMBEDDINGS, IDENTITIES)
    torch.testing.assert_close(difference, 22.4 * functional.one_hot(IDENTITIES, 5).double())
