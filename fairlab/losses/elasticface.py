"""ElasticFace: the margin is drawn separately for every image (Boutros et al., CVPRW 2022, arXiv 2109.09416).

Draws come from torch's global generator, which the loop seeds at every step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, AngleHead, MarginHead, add_angle
from fairlab.settings.loss import (
    ElasticArcFacePlusSettings,
    ElasticArcFaceSettings,
    ElasticCosFacePlusSettings,
    ElasticCosFaceSettings,
)


@LOSSES.register("elastic_arcface", title="ElasticFace-Arc", source="arXiv 2109.09416, ElasticFace-Arc")
class ElasticArcFace(AngleHead):
    """Target logit s * cos(theta_y + E), E ~ N(m, sigma^2) per image and step; sigma = 0 is ArcFace.

    Over many draws the mean target logit is s * cos(theta_y + m) * exp(-sigma^2 / 2).
    """

    def __init__(self, embedding_dim: int, classes: int, settings: ElasticArcFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.sigma = settings.sigma_rad

    def turned(self, cosine: Tensor, angle: Tensor | float) -> Tensor:
        return add_angle(cosine, angle + self.sigma * normal(cosine))


@LOSSES.register("elastic_cosface", title="ElasticFace-Cos", source="arXiv 2109.09416, ElasticFace-Cos")
class ElasticCosFace(MarginHead):
    """Target logit s * (c_y - E), E ~ N(m, sigma^2) per image and step; sigma = 0, and the mean, is CosFace."""

    def __init__(self, embedding_dim: int, classes: int, settings: ElasticCosFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin, self.sigma = settings.margin_cos, settings.sigma_cos

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        return cosine - (self.margin + self.sigma * normal(cosine))


@LOSSES.register("elastic_arcface_plus", title="ElasticFace-Arc+", source="arXiv 2109.09416, ElasticFace-Arc+")
class ElasticArcFacePlus(AngleHead):
    """ElasticFace-Arc whose draws go to the images of the batch by rank: the farther from its centre, the larger."""

    def __init__(self, embedding_dim: int, classes: int, settings: ElasticArcFacePlusSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.sigma, self.compat = settings.sigma_plus_rad, settings.compat

    def turned(self, cosine: Tensor, angle: Tensor | float) -> Tensor:
        # The draws alone are handed out: an image's own angle stays with it. Rounding keeps their order, so the bits too.
        return add_angle(cosine, angle + hand_out(self.sigma * normal(cosine), cosine, self.compat))


@LOSSES.register("elastic_cosface_plus", title="ElasticFace-Cos+", source="arXiv 2109.09416, ElasticFace-Cos+")
class ElasticCosFacePlus(MarginHead):
    """ElasticFace-Cos whose draws go to the images of the batch by rank: the farther from its centre, the larger."""

    def __init__(self, embedding_dim: int, classes: int, settings: ElasticCosFacePlusSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin, self.sigma = settings.margin_cos, settings.sigma_cos
        self.compat = settings.compat

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        draws = self.margin + self.sigma * normal(cosine)
        return cosine - hand_out(draws, cosine, self.compat)


def normal(like: Tensor) -> Tensor:
    """One draw from N(0, 1) for each element."""
    return torch.randn(like.shape, device=like.device, dtype=like.dtype)


def hand_out(draws: Tensor, cosine: Tensor, compat: bool = False) -> Tensor:
    """The draws (B,) so that the image with the largest cosine (B,) gets the smallest of them, and so on: (B,).

    compat: as the published code has it, which is the inverse of that order: image i gets the draw whose rank is
    the number of the image with the i-th largest cosine. Three images or more can then get each other's margins.
    """
    rising, order = draws.sort().values, cosine.detach().argsort(descending=True, stable=True)
    return rising[order] if compat else torch.empty_like(rising).scatter(0, order, rising)
