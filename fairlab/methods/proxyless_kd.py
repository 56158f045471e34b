"""ProxylessKD: the student learns to be recognised by its teacher's own classifier (Shi et al., arXiv 2011.00265)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fairlab.methods.base import METHODS, Batch, unit_distance
from fairlab.methods.student import Heir
from fairlab.settings.study import Run


@METHODS.register(
    "proxyless_kd",
    title="ProxylessKD student",
    roles=("student",),
    parents="space",
    in_space=True,
    inherits=True,
    source="arXiv 2011.00265; as AdaDistill's code has it; centroids: CLIP-Embed-KD",
)
class ProxylessKD(Heir):
    """The run's margin loss over the teacher's class centres, which stay as they are; no teacher pass, no targets.

    With a kd_weight also + kd_weight x MSE(target, normalised embedding), which the paper does not have; with unfreeze
    the centres learn on.
    """

    def __init__(self, settings: Run, **facts: Any) -> None:
        super().__init__(settings, **facts)
        about = settings.distillation
        self.head.weight.requires_grad_(bool(about and about.unfreeze))
        self.kd_weight = about.kd_weight if about else None
        self.needs_targets = self.kd_weight is not None

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        if self.kd_weight is None:
            return embeddings.new_zeros(())
        return self.kd_weight * unit_distance(embeddings, batch.targets)
