"""CosFace: a fixed amount is taken off the target's cosine (Wang et al., CVPR 2018, arXiv 1801.09414, eq. 4)."""

from __future__ import annotations

from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead
from fairlab.settings.loss import CosFaceSettings


@LOSSES.register("cosface", title="CosFace", source="arXiv 1801.09414 eq. 4")
class CosFace(MarginHead):
    """Target logit s * (c_y - m)."""

    def __init__(self, embedding_dim: int, classes: int, settings: CosFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin = settings.margin_cos

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        return cosine - self.margin
