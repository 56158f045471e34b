"""AdaFace: the margin follows the embedding's length, a sign of image quality (Kim et al., CVPR 2022, arXiv 2204.00964).

It needs the embeddings as the network gives them: once they are normalised all lengths are 1 and nothing is left but
CosFace. The published code of the synthetic-gap paper (arXiv 2408.17399) normalises first; compat shows it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead
from fairlab.settings.loss import AdaFaceSettings

EPSILON = 1e-3
"""Added to the spread, and how far cosines stay from +-1 and angles from 0 and pi."""
LENGTHS = (1e-3, 100.0)
"""Embeddings shorter or longer than this count as this long."""


@LOSSES.register("adaface", title="AdaFace", source="arXiv 2204.00964")
class AdaFace(MarginHead):
    """Target logit s * (cos(theta_y - m z) - m (1 + z)), with z in -1..1 from the embedding's length.

    z = h (|x| - mean) / (spread + 1e-3), without a gradient; z = -1 (short) is ArcFace's cos(theta + m), z = 0
    CosFace's c - m. Mean and spread of the lengths run from batch to batch, a new batch counted with ema_weight.
    """

    norm_mean: Tensor
    norm_std: Tensor

    def __init__(self, embedding_dim: int, classes: int, settings: AdaFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.compat, self.margin = settings.compat, settings.margin_cos
        self.concentration = settings.norm_concentration
        self.ema_weight = 1.0 if settings.compat else settings.ema_weight
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        z = self.standing(torch.ones_like(length) if self.compat else length).to(cosine.dtype)
        edge = max(EPSILON, torch.finfo(cosine.dtype).eps)  # in half precision 1 - 1e-3 may be 1
        theta = torch.acos(cosine.clamp(-1 + edge, 1 - edge))
        return torch.cos((theta - self.margin * z).clamp(EPSILON, math.pi - EPSILON)) - self.margin * (1 + z)

    @torch.no_grad()
    def standing(self, length: Tensor) -> Tensor:
        """z (B,): how long each embedding is among those seen so far, this batch included."""
        length = length.to(self.norm_mean.dtype).clamp(*LENGTHS)
        if len(length) > 1:  # one image has no spread
            self.norm_mean.lerp_(length.mean(), self.ema_weight)
            self.norm_std.lerp_(length.std(), self.ema_weight)
        return (self.concentration * (length - self.norm_mean) / (self.norm_std + EPSILON)).clamp(-1, 1)
