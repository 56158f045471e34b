"""Networks without numbers: the right names and shapes, and not a second of loading."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from fairlab.models.base import BACKBONES
from fairlab.models.shapes import shapes_only
from fairlab.settings.backbone import backbone_settings

LOADED = """
import sys
from fairlab.settings.backbone import backbone_settings
from fairlab.models.base import BACKBONES
from fairlab.models.shapes import shapes_only
for name in BACKBONES:
    with shapes_only():
        BACKBONES[name](backbone_settings(name), 112)
print([name for name in ("torch._dynamo", "torch._inductor.compile_fx") if name in sys.modules])
"""


@pytest.mark.parametrize("name", ["tiny", "mbf", "iresnet18", "edgeface_xs", "patch_echo"])
def test_names_and_shapes_are_those_of_the_real_network(name: str) -> None:
    settings = backbone_settings(name, embedding_dim=32)
    with shapes_only():
        empty = BACKBONES[name](settings, 112).state_dict()
    real = BACKBONES[name](settings, 112).state_dict()
    assert {key: (value.shape, value.dtype) for key, value in empty.items()} == {
        key: (value.shape, value.dtype) for key, value in real.items()
    }
    assert all(value.is_meta for value in empty.values())


def test_outside_numbers_are_drawn_as_ever() -> None:
    with shapes_only():
        pass
    torch.manual_seed(0)
    assert torch.randn(10_000).std().item() == pytest.approx(1, abs=0.03)


def test_the_compiler_of_torch_is_not_loaded() -> None:
    """It was for the first weight that was drawn: three seconds of every import of a checkpoint."""
    said = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
