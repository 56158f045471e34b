"""ProxylessKD: the student learns to be recognised by its teacher's own classifier (Shi et al., arXiv 2011.00265)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fairlab.methods.base import METHODS, Batch, kd_weight, method_settings, unit_distance
from fairlab.methods.student import Heir
from fairlab.settings.distillation import ProxylessKDSettings
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

    With a kd_weight above 0 also EAF-KD's pull to the targets, which the paper does not have; with unfreeze the centres
    learn on.
    """

    def __init__(self, settings: Run, **facts: Any) -> None:
        super().__init__(settings, **facts)
        about = method_settings(settings, ProxylessKDSettings)
        self.head.weight.requires_grad_(about.unfreeze)
        self.kd_weight = kd_weight(about, self.embedding_dim)
        self.needs_targets = self.kd_weight > 0

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        if not self.needs_targets:
            return embeddings.new_zeros(())
        return self.kd_weight * unit_distance(embeddings, batch.targets)
