"""What a network is to the rest of FairLab, and the names under which networks are known."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fairlab.config import Adaptor, Backbone
from fairlab.registry import Registry

BACKBONES: Registry[Callable[[Backbone, int], nn.Module]] = Registry("backbone", "fairlab.models")
"""build(settings, image_px) -> module from images (B, 3, H, W) in -1..1 to raw embeddings (B, D)."""

ADAPTORS: Registry[Callable[[Adaptor, tuple[int, ...]], nn.Module]] = Registry("adaptor", "fairlab.models")
"""build(settings, input_dims) -> module from teachers' unit embeddings side by side (B, sum) to raw (B, D)."""
