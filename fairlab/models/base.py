"""What a network is to the rest of FairLab, and the names under which networks are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from fairlab.registry import Registry
from fairlab.settings.study import Adaptor

BACKBONES: Registry[Callable[[Any, int], nn.Module]] = Registry("backbone", "fairlab.models.backbones")
"""build(settings, image_px) -> module from images (B, 3, H, W) in -1..1 to raw embeddings (B, D).

settings: a Backbone, or those of the network's own in fairlab/settings/backbone.py. Facts of a registration: title, source,
parameters (numbers at 112 px and 512 dimensions, statistics of batch norm among them), frozen (those that no training
changes), and where they are not as for most files_only, no_files, landmarks, dropout.
"""

ADAPTORS: Registry[Callable[[Adaptor, tuple[int, ...]], nn.Module]] = Registry("adaptor", "fairlab.models.adaptors")
"""build(settings, input_dims) -> module from teachers' unit embeddings side by side (B, sum) to raw (B, D).

Facts of a registration: title, source, and needs_group=True where the inputs have one more, last column: the number
(0..n-1, in the order of `input_dims`) of the teacher that is specialised on the image's own group.
"""


@runtime_checkable
class HasTerms(Protocol):
    """An adaptor that brings terms of the loss along."""

    def observed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Raw embeddings (B, D), and a row for each image of what the terms are made of, (B, n)."""
        ...

    def terms(self, observed: Tensor) -> dict[str, Tensor]:
        """The terms (), weighted, by the name under which they are logged; of all images of a step at once.

        Without weights of their own: where several processes train, `observed` comes from all of them.
        """
        ...
