"""MagFace: longer embeddings get a larger angle and are asked for (Meng et al., CVPR 2021, arXiv 2103.06627)."""

from __future__ import annotations

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead, add_angle
from fairlab.settings.loss import MagFaceSettings


@LOSSES.register("magface", title="MagFace", source="arXiv 2103.06627")
class MagFace(MarginHead):
    """Target logit s * cos(theta_y + m(a)) where c_y > 0, otherwise s * c_y; plus norm_weight * mean(g(a)).

    a = |x| kept within norm_low..norm_high; m(a) rises linearly from margin_low_rad to margin_high_rad;
    g(a) = a / norm_high^2 + 1 / a, smallest at norm_high. Both have a gradient through a. The limits of the length
    are the paper's for 512 dimensions: shorter embeddings than norm_low all get the lowest margin and no pull.
    """

    def __init__(self, embedding_dim: int, classes: int, settings: MagFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.low, self.high = settings.norm_low, settings.norm_high
        self.margin, self.margin_high = settings.margin_low_rad, settings.margin_high_rad
        self.norm_weight = settings.norm_weight

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        angle = self.margin_at(length.clamp(self.low, self.high))
        return torch.where(cosine > 0, add_angle(cosine, angle), cosine)

    def margin_at(self, length: Tensor) -> Tensor:
        """m(a): the angle in radians for lengths within the limits."""
        return self.margin + (self.margin_high - self.margin) * (length - self.low) / (self.high - self.low)

    def penalty(self, embeddings: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(embeddings, dim=1).clamp(self.low, self.high)
        return self.norm_weight * (length / self.high**2 + 1 / length).mean()
