"""ArcFace: a fixed angle is added to the target's (Deng et al., CVPR 2019, arXiv 1801.07698, eq. 3)."""

from __future__ import annotations

from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead, add_angle
from fairlab.settings.loss import ArcFaceSettings


@LOSSES.register("arcface", title="ArcFace", source="arXiv 1801.07698 eq. 3")
class ArcFace(MarginHead):
    """Target logit s * cos(theta_y + m)."""

    def __init__(self, embedding_dim: int, classes: int, settings: ArcFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin = settings.margin_rad

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        return add_angle(cosine, self.margin)
