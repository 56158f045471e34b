"""What all margin heads share: cosines, scale, and numbers that stay finite."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fairlab.losses.arcface import ArcFace
from fairlab.losses.base import MarginHead, add_angle
from fairlab.settings.loss import loss_settings


def a_head(classes: int = 5, dims: int = 8, **changes: float) -> ArcFace:
    torch.manual_seed(0)
    return ArcFace(dims, classes, loss_settings(name="arcface", **changes)).double()


def test_class_centres_start_as_the_papers_do() -> None:
    """N(0, 0.01^2), shape (classes, dims)."""
    torch.manual_seed(3)
    weight = ArcFace(64, 1000, loss_settings()).weight.detach()
    assert weight.shape == (1000, 64)
    assert float(weight.mean()) == pytest.approx(0, abs=5 * 0.01 / math.sqrt(64_000))
    assert float(weight.std()) == pytest.approx(0.01, rel=0.02)


def test_lean_head_equals_the_papers_dense_one() -> None:
    """Margin by acos and cos over the whole (B, C) of normalised copies: same logits, same gradients."""
    torch.manual_seed(1)
    head, x, y = a_head(classes=7), torch.randn(6, 8, dtype=torch.float64), torch.tensor([0, 6, 6, 2, 3, 1])
    x.requires_grad_()
    lean = head(x, y)
    gradients = torch.autograd.grad(functional.cross_entropy(lean, y), [x, head.weight])
    margins = 0.5 * functional.one_hot(y, 7)
    dense = 64.0 * torch.cos(torch.acos(functional.normalize(x) @ functional.normalize(head.weight).t()) + margins)
    expected = torch.autograd.grad(functional.cross_entropy(dense, y), [x, head.weight])
    torch.testing.assert_close(lean, dense, atol=1e-10, rtol=0)
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-9)


@given(x_scale=st.floats(1e-3, 1e3), w_scale=st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_lengths_of_embeddings_and_centres_do_not_matter(x_scale: float, w_scale: float) -> None:
    """Each embedding and each class centre may be scaled (identity H3)."""
    head, y = a_head(), torch.tensor([0, 3, 1, 4])
    x = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    before = head(x, y)
    with torch.no_grad():
        head.weight[2] *= w_scale
    torch.testing.assert_close(head(x * torch.tensor([1.0, x_scale, 1.0, 2.0])[:, None], y), before)


def test_without_identities_or_in_evaluation_there_is_no_margin() -> None:
    """Then a head gives scale * cosine (identity H10)."""
    head, y = a_head(scale=16.0), torch.tensor([0, 3, 1, 4])
    x = torch.randn(4, 8, dtype=torch.float64)
    plain = 16.0 * functional.cosine_similarity(x[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(x), plain)
    assert not torch.allclose(head(x, y), plain)
    torch.testing.assert_close(head.eval()(x, y), plain)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_finite_where_acos_has_none(dtype: torch.dtype, sign: float) -> None:
    """At cosines of exactly +-1, e.g. an embedding on its class centre (identity H6); acos alone gives inf there."""
    cosine = torch.tensor([sign, sign * (1 + 1e-3)], dtype=dtype, requires_grad=True)
    value = add_angle(cosine, 0.5)
    value.sum().backward()
    assert cosine.grad is not None
    assert torch.isfinite(value).all()
    assert torch.isfinite(cosine.grad).all()
    plain = torch.tensor([sign], dtype=torch.float64, requires_grad=True)
    torch.acos(plain).sum().backward()
    assert plain.grad is not None
    assert not torch.isfinite(plain.grad).all()


def test_gradients_near_a_class_centre_are_bounded() -> None:
    """d cos(theta + m) / d cos theta = sin(theta + m) / sin(theta), cut at 1 - 1e-6: never above 1,000."""
    cosine = torch.tensor([1 - 10.0**-k for k in range(1, 17)], dtype=torch.float64, requires_grad=True)
    add_angle(cosine, 0.5).sum().backward()
    assert cosine.grad is not None
    theta = torch.acos(cosine.detach())
    exact = torch.sin(theta + 0.5) / torch.sin(theta)
    torch.testing.assert_close(cosine.grad[:5], exact[:5])
    assert float(cosine.grad.abs().max()) < 1_000


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_embedding_on_its_class_centre_trains(sign: float) -> None:
    """Exactly on it and exactly opposite, in float32, loss and all gradients are finite (identity H6)."""
    head = a_head(classes=3).float()
    x = (sign * head.weight.detach()[:2]).clone().requires_grad_()
    y = torch.tensor([0, 1])
    loss = functional.cross_entropy(head(x, y), y)
    loss.backward()
    assert x.grad is not None
    assert head.weight.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_zero_embeddings_and_zero_centres_stay_finite() -> None:
    """A dead embedding or a centre of length 0 counts as cosine 0."""
    head, y = a_head(classes=3).float(), torch.tensor([0, 1])
    with torch.no_grad():
        head.weight[2] = 0
    x = torch.zeros(2, 8, requires_grad=True)
    logits = head(x, y)
    functional.cross_entropy(logits, y).backward()
    assert head.weight.grad is not None
    assert torch.isfinite(head.weight.grad).all()
    assert logits.detach()[0, 2] == 0
    assert float(logits.detach()[0, 0]) == pytest.approx(64 * math.cos(math.pi / 2 + 0.5), abs=1e-3)


@given(theta=st.floats(0.01, math.pi - 0.01), margin=st.floats(0.0, 1.5))
@settings(max_examples=100, deadline=None)
def test_the_margin_hurts_exactly_up_to_the_documented_angle(theta: float, margin: float) -> None:
    """cos(theta + m) <= cos(theta) iff theta <= pi - m / 2: beyond, the margin helps, unguarded (identity H5)."""
    cosine = torch.tensor([math.cos(theta)], dtype=torch.float64)
    gain = float(add_angle(cosine, margin) - cosine)
    if theta < math.pi - margin / 2 - 1e-6:
        assert gain <= 1e-9
    elif theta > math.pi - margin / 2 + 1e-6:
        assert gain >= -1e-9
    assert float(add_angle(cosine, margin)) == pytest.approx(math.cos(theta + margin), abs=1e-9)


def test_wrapped_values_are_those_of_the_papers_code() -> None:
    """cos(3.0) = -.990 becomes cos(3.5) = -.936 (identity H5)."""
    value = add_angle(torch.tensor([math.cos(3.0)], dtype=torch.float64), 0.5)
    assert float(value) == pytest.approx(-0.9364566873, abs=1e-9)


def test_a_head_without_a_rule_says_so() -> None:
    """The base class is no loss."""
    with pytest.raises(NotImplementedError, match="MarginHead must say"):
        MarginHead(4, 2, loss_settings())(torch.randn(1, 4), torch.tensor([0]))
