"""CurricularFace: hard other classes count more the further the training is (Huang et al., CVPR 2020, arXiv 2004.00288)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairlab.losses.base import LOSSES, AngleHead, add_angle
from fairlab.settings.loss import CurricularFaceSettings


@LOSSES.register("curricularface", title="CurricularFace", source="arXiv 2004.00288")
class CurricularFace(AngleHead):
    """Target logit s * cos(theta_y + m); where the angle would pass pi, s * (c_y - m sin(m)).

    Others: s * c_j (t + c_j) where c_j > cos(theta_y + m), otherwise s * c_j. t is the running mean of the target's
    cosine from 0 on, a new batch counted with ema_weight.
    """

    t: Tensor

    def __init__(self, embedding_dim: int, classes: int, settings: CurricularFaceSettings) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.ema_weight = settings.ema_weight
        self.register_buffer("t", torch.tensor(0.0))

    def turned(self, cosine: Tensor, angle: Tensor | float) -> Tensor:
        if isinstance(angle, Tensor):
            edge, taken = torch.cos(math.pi - angle), angle * torch.sin(angle)
            return torch.where(cosine <= edge, cosine - taken, add_angle(cosine, angle))
        wraps = cosine <= math.cos(math.pi - angle)
        return torch.where(wraps, cosine - angle * math.sin(angle), add_angle(cosine, angle))

    def hardened(self, cosines: Tensor, target: Tensor, angle: Tensor | float) -> Tensor:
        with torch.no_grad():
            self.t.lerp_(target.mean().to(self.t.dtype), self.ema_weight)
            hard = cosines > add_angle(target, angle)[:, None]
        return torch.where(hard, cosines * (self.t + cosines), cosines)
