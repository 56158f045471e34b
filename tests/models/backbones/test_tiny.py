"""The demo's small network."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fairlab.errors import FairLabError
from fairlab.models.backbones.tiny import Tiny, _Stage
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone


@pytest.mark.parametrize("image_px", [24, 33, 48])
@pytest.mark.parametrize("widths", [(4,), (4, 8), (16, 24, 48, 96)])
def test_any_image_size_and_number_of_stages(image_px: int, widths: tuple[int, ...]) -> None:
    """Embeddings (B, D); the size need not be a power of two."""
    network = BACKBONES["tiny"](Backbone(name="tiny", embedding_dim=5, widths=widths), image_px)
    assert network(torch.randn(2, 3, image_px, image_px)).shape == (2, 5)


@pytest.mark.parametrize("widths", [(), (4, 0), (-3,)])
def test_senseless_widths_are_refused(widths: tuple[int, ...]) -> None:
    """Widths that are no widths by the setting itself, none at all by the network; both name it."""
    with pytest.raises(ValidationError if widths else FairLabError, match=r"widths"):
        BACKBONES["tiny"](Backbone(name="tiny", widths=widths), 48)


def test_is_small() -> None:
    """The demo's teacher and student at 48 px and 64 dims: at most 0.6 million parameters, the teacher's larger."""
    sizes = [
        sum(p.numel() for p in Tiny(Backbone(embedding_dim=64, widths=widths), 48).parameters())
        for widths in ((16, 24, 48, 96), (16, 32, 64, 128))
    ]
    assert sizes[0] < sizes[1] < 600_000


def test_memory_format_does_not_change_the_numbers() -> None:
    """The loop trains in channels_last for speed: same embeddings up to rounding."""
    torch.manual_seed(0)
    network = Tiny(Backbone(embedding_dim=6, widths=(8, 16)), 32).eval()
    images = torch.randn(3, 3, 32, 32)
    plain = network(images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), plain)


def test_a_stage_is_residual() -> None:
    """When its block gives nothing, its halved input passes through."""
    torch.manual_seed(0)
    stage, images = _Stage(3, 6).eval(), torch.randn(2, 3, 10, 10)
    last = stage.block[-1]
    assert isinstance(last, torch.nn.BatchNorm2d)
    torch.nn.init.zeros_(last.weight)
    assert stage(images).shape == (2, 6, 5, 5)
    torch.testing.assert_close(stage(images), stage.act(stage.down(images)))
    assert float(stage(images).detach().abs().max()) > 0.1
