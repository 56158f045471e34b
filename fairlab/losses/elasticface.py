"""ElasticFace-Arc: the angle is drawn anew for every image (Boutros et al., CVPRW 2022, arXiv 2109.09416)."""

from __future__ import annotations

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead, add_angle


@LOSSES.register("elastic_arcface", title="ElasticFace-Arc", source="arXiv 2109.09416, ElasticFace-Arc")
class ElasticArcFace(MarginHead):
    """Target logit s * cos(theta_y + E), E ~ N(m, sigma^2) per image and step; sigma = 0 is ArcFace.

    Over many draws the mean target logit is s * cos(theta_y + m) * exp(-sigma^2 / 2). Draws come from torch's
    global generator, which the loop seeds at every step.
    """

    def target(self, cosine: Tensor) -> Tensor:
        draws = torch.randn(cosine.shape, device=cosine.device, dtype=cosine.dtype)
        return add_angle(cosine, self.margin + self.settings.sigma_rad * draws)
