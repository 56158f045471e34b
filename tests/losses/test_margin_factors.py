"""A margin for each image: the angle of the ArcFace family times the image's factor (published as RaceFace)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import LOSSES, AngleHead
from fairlab.settings.loss import LOSSES as SETTINGS
from fairlab.settings.loss import AngleLoss, loss_settings
from tests.fixtures.golden import EMBEDDINGS, IDENTITIES
from tests.losses.heads import fitting, golden_head

FACTORS = torch.tensor([1.2, 0.8, 1.0, 0.9], dtype=torch.float64)
WITH_ANGLE = sorted(name for name, kind in SETTINGS.items() if issubclass(kind, AngleLoss))
WITHOUT = sorted(set(SETTINGS) - set(WITH_ANGLE))
NO_SPREAD = dict.fromkeys(("sigma_rad", "sigma_plus_rad"), 0.0)


def of(name: str, **changes: Any) -> Any:
    return golden_head(name, **{k: v for k, v in changes.items() if k in SETTINGS[name].model_fields}).train()


def test_golden_value_of_raceface() -> None:
    """G26: s 8, m .5, these factors; checked there against the official RaceFace."""
    loss = of("arcface", scale=8.0).loss(EMBEDDINGS, IDENTITIES, FACTORS)
    assert float(loss.detach()) == pytest.approx(4.91303287859, abs=1e-9)


@pytest.mark.parametrize("name", WITH_ANGLE)
def test_factors_of_one_change_no_bit(name: str) -> None:
    """G26's second value for ArcFace, and the same draws for all."""
    losses = []
    for factors in (None, torch.ones(4, dtype=torch.float64)):
        torch.manual_seed(3)
        losses.append(of(name, scale=8.0).loss(EMBEDDINGS, IDENTITIES, factors).detach())
    if name == "curricularface":  # cos and sin of torch and of Python may differ in the last bit
        torch.testing.assert_close(losses[0], losses[1], atol=1e-14, rtol=1e-14)
    else:
        assert torch.equal(*losses)
    if name == "arcface":
        assert float(losses[0]) == pytest.approx(5.00397597911, abs=1e-9)


@pytest.mark.parametrize("name", WITH_ANGLE)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.7])
def test_equal_factors_are_another_margin(name: str, factor: float) -> None:
    """m x f for all is the loss at the margin m f."""
    torch.manual_seed(3)
    scaled = of(name, scale=8.0, **NO_SPREAD).loss(
        EMBEDDINGS, IDENTITIES, torch.full((4,), factor, dtype=torch.float64)
    )
    torch.manual_seed(3)
    other = of(name, scale=8.0, margin_rad=0.5 * factor, **NO_SPREAD).loss(EMBEDDINGS, IDENTITIES)
    torch.testing.assert_close(scaled, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", WITH_ANGLE)
def test_a_factor_changes_its_own_image_alone(name: str) -> None:
    """Also where draws are handed out by rank."""
    logits = []
    for factors in (torch.ones(4, dtype=torch.float64), torch.tensor([1.0, 1.5, 1.0, 1.0], dtype=torch.float64)):
        head = of(name, scale=8.0)
        torch.manual_seed(3)
        centres, columns = head.taking_part(IDENTITIES)
        logits.append(head.logits(EMBEDDINGS, centres, columns, factors).detach())
    changed = ((logits[0] - logits[1]).abs() > 1e-9).any(1)
    assert changed.tolist() == [False, True, False, False]


def test_wide_angles_of_curricularface_take_the_line() -> None:
    """Where theta + m f passes pi: c - m f sin(m f), as at one margin."""
    head = of("curricularface", scale=1.0)
    cosine = torch.tensor([-0.99, 0.2], dtype=torch.float64)
    found = head.turned(cosine, torch.tensor([0.5, 0.9], dtype=torch.float64))
    assert torch.equal(found[:1], head.turned(cosine, 0.5)[:1])
    assert torch.equal(found[1:], head.turned(cosine, 0.9)[1:])


@pytest.mark.parametrize("name", WITHOUT)
def test_a_loss_without_an_angle_refuses_them(name: str) -> None:
    """As a setting, which names the loss, and as factors."""
    with pytest.raises(ValidationError, match="margin_factor"):
        loss_settings(name, margin_factor="shares")
    head = golden_head(name).train()
    with pytest.raises(FairLabError, match="has no margin in radians"):
        head.loss(EMBEDDINGS, IDENTITIES, FACTORS)


def test_heads_with_an_angle_are_those_whose_settings_have_the_factor() -> None:
    heads = {name for name in LOSSES if isinstance(LOSSES[name](4, 3, fitting(name)), AngleHead)}
    assert heads == set(WITH_ANGLE) == {name for name, kind in SETTINGS.items() if "margin_factor" in kind.model_fields}


def test_evaluation_has_no_margin() -> None:
    head = of("arcface", scale=8.0).eval()
    plain = functional.cross_entropy(head(EMBEDDINGS), IDENTITIES)
    torch.testing.assert_close(head.loss(EMBEDDINGS, IDENTITIES, FACTORS), plain)
