"""Arithmetic of networks against figures that another counter gave for the forward pass (torch's FlopCounterMode)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairlab.models.base import BACKBONES
from fairlab.models.flops import forward_flops
from fairlab.models.shapes import shapes_only
from fairlab.settings.backbone import backbone_settings


@pytest.mark.parametrize(("name", "gflop"), [("iresnet18", 5.22), ("iresnet34", 8.92), ("iresnet50", 12.62)])
def test_forward_passes_at_112_pixels(name: str, gflop: float) -> None:
    with shapes_only():
        network = BACKBONES[name](backbone_settings(name), 112)
        assert forward_flops(network, torch.empty(1, 3, 112, 112)) / 1e9 == pytest.approx(gflop, abs=0.03)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_a_grouped_convolution_is_that_much_less(groups: int) -> None:
    """8 -> 16 channels, 3 x 3, 10 x 10 places out: 2 * 16 * 100 * 9 * 8 / groups."""
    layer = nn.Conv2d(8, 16, 3, padding=1, groups=groups)
    assert forward_flops(layer, torch.zeros(1, 8, 10, 10)) == 2 * 16 * 100 * 9 * 8 // groups


def test_torch_counts_the_same() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    network = BACKBONES["mobilefacenet"](backbone_settings("mobilefacenet", embedding_dim=32), 48).eval()
    image = torch.zeros(2, 3, 48, 48)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(image)
    assert forward_flops(network, image) == counter.get_total_flops()
