"""ArcFace: a fixed angle is added to the target's (Deng et al., CVPR 2019, arXiv 1801.07698, eq. 3)."""

from __future__ import annotations

from torch import Tensor

from fairlab.losses.base import LOSSES, AngleHead, add_angle


@LOSSES.register("arcface", title="ArcFace", source="arXiv 1801.07698 eq. 3")
class ArcFace(AngleHead):
    """Target logit s * cos(theta_y + m)."""

    def turned(self, cosine: Tensor, angle: Tensor | float) -> Tensor:
        return add_angle(cosine, angle)
