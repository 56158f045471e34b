"""FitNet's idea on embeddings: be equal to the teacher's, length and all (Romero et al., arXiv 1412.6550; as in TFace)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, raw_targets
from fairlab.methods.student import Student


@METHODS.register(
    "fitnet",
    title="FitNet student",
    roles=("student",),
    parents="space",
    in_space=True,
    source="arXiv 1412.6550; formula as in TFace",
)
class FitNet(Student):
    """MSE(f_s, f_t) over batch and dims, neither normalised: f_t = unit target x its length. Weight 1."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return functional.mse_loss(embeddings, raw_targets(batch))
