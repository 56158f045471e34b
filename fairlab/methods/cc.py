"""CC: keep the teacher's correlation of the batch's images (Peng et al., ICCV 2019, arXiv 1904.01802)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, method_settings, unit_targets
from fairlab.methods.sp import pair_cosines
from fairlab.methods.student import Student
from fairlab.settings.distillation import CCSettings
from fairlab.settings.study import Run

GAMMA, ORDER = 0.4, 2


@METHODS.register(
    "cc", title="CC student", roles=("student",), parents="space", source="arXiv 1904.01802; formula as in TFace"
)
class CC(Student):
    """MSE of K_s and K_t, K = the Gaussian kernel exp(-gamma |x - y|^2) of all pairs as a Taylor series of order 2.

    gamma 0.4, weight 1. The published code leaves out the last term, after which only the cosines remain: SP, times
    (2 gamma exp(-2 gamma))^2; compat does so too.
    """

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__(settings, classes=classes, image_px=image_px, teacher_dims=teacher_dims)
        self.order = ORDER - method_settings(settings, CCSettings).compat

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return functional.mse_loss(correlation(embeddings, self.order), correlation(unit_targets(batch), self.order))


def correlation(embeddings: Tensor, order: int) -> Tensor:
    """sum over p = 0..order of exp(-2 gamma) (2 gamma)^p / p! cos^p, for all pairs: (B, D) -> (B, B)."""
    cosine = pair_cosines(embeddings)
    factor = math.exp(-2 * GAMMA)
    powers = [factor * (2 * GAMMA) ** p / math.factorial(p) * cosine**p for p in range(order + 1)]
    return sum(powers[1:], powers[0])
