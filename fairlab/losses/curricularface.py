"""CurricularFace: hard other classes count more the further the training is (Huang et al., CVPR 2020, arXiv 2004.00288)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, MarginHead, add_angle
from fairlab.settings.loss import CurricularFaceSettings


@LOSSES.register("curricularface", title="CurricularFace", source="arXiv 2004.00288")
class CurricularFace(MarginHead):
    """Target logit s * cos(theta_y + m); where the angle would pass pi, s * (c_y - m sin(m)).

    Others: s * c_j (t + c_j) where c_j > cos(theta_y + m), otherwise s * c_j. t is the running mean of the target's
    cosine from 0 on, a new batch counted with ema_weight.
    """

    t: Tensor

    def __init__(self, embedding_dim: int, classes: int, settings: CurricularFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin, self.ema_weight = settings.margin_rad, settings.ema_weight
        self.register_buffer("t", torch.tensor(0.0))

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        wraps = cosine <= math.cos(math.pi - self.margin)
        return torch.where(wraps, cosine - self.margin * math.sin(self.margin), add_angle(cosine, self.margin))

    def others(self, cosines: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            self.t.lerp_(target.mean().to(self.t.dtype), self.ema_weight)
            hard = cosines > add_angle(target, self.margin)[:, None]
        return torch.where(hard, cosines * (self.t + cosines), cosines)
