"""Softmax over cosines without a margin: what every margin loss becomes at m = 0."""

from __future__ import annotations

from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead


@LOSSES.register("norm_softmax", title="NormSoftmax", source="the margin losses at m = 0")
class NormSoftmax(MarginHead):
    """Target logit s * c_y."""

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        return cosine
