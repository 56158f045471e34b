"""CurricularFace against its formula written out one logit at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tests.fixtures.golden import EMBEDDINGS, GOLDEN, IDENTITIES
from tests.losses.heads import cross_entropy, golden_head

COSINES, TARGETS = GOLDEN["cos"], IDENTITIES.tolist()


def written_out(t: float, scale: float = 64.0, m: float = 0.5) -> float:
    """Mean cross-entropy from the golden cosines, in plain Python (arXiv 2004.00288)."""
    losses = []
    for row, y in zip(COSINES, TARGETS, strict=True):
        limit = math.cos(math.acos(row[y]) + m)
        logits = [scale * (c * (t + c) if c > limit else c) for c in row]
        logits[y] = scale * (limit if math.acos(row[y]) + m < math.pi else row[y] - m * math.sin(m))
        losses.append(math.log(sum(math.exp(z) for z in logits)) - logits[y])
    return sum(losses) / len(losses)


@pytest.mark.parametrize("scale", [64.0, 8.0, 1.0])
@pytest.mark.parametrize("before", [0.0, 0.7])
def test_cross_entropy_is_the_formulas(scale: float, before: float) -> None:
    """t takes this batch's mean target cosine in, with weight 0.01, before it is used."""
    head = golden_head("curricularface", scale=scale)
    head.t.fill_(before)
    mean = sum(row[y] for row, y in zip(COSINES, TARGETS, strict=True)) / 4
    t = 0.99 * before + 0.01 * mean
    assert cross_entropy(head) == pytest.approx(written_out(t, scale), abs=1e-9)
    assert float(head.t) == pytest.approx(t, abs=1e-12)


def test_where_no_other_class_is_hard_it_is_arcface() -> None:
    """Embeddings near their own centre, margin small."""
    x = golden_head("arcface").weight.detach()[IDENTITIES] + 0.05 * EMBEDDINGS
    one, other = golden_head("curricularface", margin_rad=0.1), golden_head("arcface", margin_rad=0.1)
    torch.testing.assert_close(one(x, IDENTITIES), other(x, IDENTITIES))


def test_at_t_of_one_a_hard_class_counts_more_and_at_zero_less() -> None:
    """c (t + c) against c, for a positive cosine."""
    row, y = EMBEDDINGS[2:3], IDENTITIES[2:3]
    logits: dict[float, float] = {}
    for t in (0.0, 1.0):
        head = golden_head("curricularface", scale=1.0, ema_weight=1e-12)
        head.t.fill_(t)
        logits[t] = float(head(row, y).detach()[0, 2])
    c = COSINES[2][2]
    assert logits[0.0] == pytest.approx(c * c, abs=1e-9)
    assert logits[1.0] == pytest.approx(c * (1 + c), abs=1e-9)


def test_where_the_angle_would_pass_pi_the_cosine_falls_on() -> None:
    """s (c - m sin m) there, so that the margin never helps, unlike in ArcFace (H5)."""
    cosines = torch.cos(torch.linspace(math.pi - 0.5 + 1e-6, math.pi - 0.01, 50, dtype=torch.float64))
    found = golden_head("curricularface").target(cosines, torch.ones_like(cosines))
    torch.testing.assert_close(found, cosines - 0.5 * math.sin(0.5))
    assert (found < cosines).all()
    just_before = torch.tensor([math.cos(math.pi - 0.5 - 1e-6)], dtype=torch.float64)
    assert float(golden_head("curricularface").target(just_before, just_before)) == pytest.approx(-1, abs=1e-9)


def test_evaluation_does_not_move_t_and_a_checkpoint_holds_it() -> None:
    """A buffer."""
    head = golden_head("curricularface").eval()
    head(EMBEDDINGS, IDENTITIES)
    head.train()(EMBEDDINGS)
    assert float(head.t) == 0
    assert set(head.state_dict()) == {"weight", "t"}


def test_no_gradient_goes_through_t() -> None:
    """With t held as a number, the same gradients."""
    x, again = EMBEDDINGS.clone().requires_grad_(), EMBEDDINGS.clone().requires_grad_()
    head = golden_head("curricularface", ema_weight=1.0)
    head.loss(x, IDENTITIES).backward()
    held = golden_head("curricularface", ema_weight=1e-300)
    held.t.copy_(head.t)
    functional.cross_entropy(held(again, IDENTITIES), IDENTITIES).backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, again.grad)
