"""An adaptor that picks teachers image by image, instead of mixing all of them in the same way for everybody.

Borrowed from MST-Distill (arXiv 2507.07015, official code; across modalities, not face recognition): a gate chooses, for
each sample, the top k of several teachers (k = 1), and a load-balance term keeps it from always choosing the same one. The
published gate is two linear layers without an activation between; it learns from the balance alone, since the choice is an
index, which has no gradient; and its balance is KL(uniform || mean choice) / n. Ours: that the gate makes a common space
of MST-KD's kind, so each teacher has a linear map of its own into it; that the choice is read from the teachers'
embeddings side by side; the hidden width (that of the common space) with LeakyReLU; the straight-through gradient, see
Gate, by which it does learn from the identities; and the whole KL, see balance. The method itself: methods/mst_distill.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.adaptors.mixing import SLOPE
from fairlab.models.base import ADAPTORS
from fairlab.settings.study import Adaptor


def balance(log_weights: Tensor) -> Tensor:
    """KL(uniform || mean of the weights over the batch): (B, n) logarithms of weights -> ().

    = -log n - mean_i log g_i; 0 only when the teachers are used alike, large when one is hardly used at all. The published
    code divides it by n (`batchmean` of a vector), so that weight 1 here is n times the published weight.
    """
    images, teachers = log_weights.shape
    mean = torch.logsumexp(log_weights, dim=0) - math.log(images)
    return -math.log(teachers) - mean.mean()


class Gate(nn.Module):
    """A linear map for each teacher; the maps of the top k teachers of an image are added, weighted.

    Weights are the softmax over the gate, made zero outside the top k and scaled to the sum 1: with k = 1 the chosen
    teacher's map and nothing else. In training the same mixture goes forward, so that the classifier learns the very
    space that is stored later, but the gradient is that of the soft weights of all teachers (straight through):
    otherwise, with k = 1 and an embedding whose length does not matter, the gate would never hear of the identity loss.
    """

    def __init__(self, settings: Adaptor, input_dims: tuple[int, ...]) -> None:
        super().__init__()
        width, teachers = settings.embedding_dim, len(input_dims)
        self.dims, self.top_k = input_dims, settings.top_k
        if self.top_k > teachers:
            raise FairLabError(f"adaptor gate cannot mix top_k = {self.top_k} teachers: there are {teachers}")
        self.maps = nn.ModuleList(nn.Linear(dim, width) for dim in input_dims)
        hidden, last = nn.Linear(sum(input_dims), width), nn.Linear(width, teachers)
        for layer in (hidden, last):
            nn.init.zeros_(layer.bias)  # else the start's choice is the same for every image, which no term can see
        self.gate = nn.Sequential(hidden, nn.LeakyReLU(SLOPE), last)

    def weights(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, sum of dims) -> weights with which the maps are mixed and logarithms of the soft ones, both (B, n)."""
        log_soft = functional.log_softmax(self.gate(inputs), dim=1)
        soft = log_soft.exp()
        chosen = torch.zeros_like(soft).scatter(1, soft.topk(self.top_k, dim=1).indices, 1.0)
        hard = soft * chosen
        hard = (hard / hard.sum(dim=1, keepdim=True)).detach()
        return (hard + (soft - soft.detach()) if self.training else hard), log_soft

    def observed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, sum of dims) -> (B, D), and the logarithms of the soft weights (B, n)."""
        weights, log_soft = self.weights(inputs)
        blocks = inputs.split(self.dims, dim=1)
        mapped = torch.stack([one(block) for one, block in zip(self.maps, blocks, strict=True)], dim=1)
        return (weights[:, :, None] * mapped).sum(dim=1), log_soft

    def terms(self, observed: Tensor) -> dict[str, Tensor]:
        """The term that keeps all teachers in use."""
        return {"balance": balance(observed)}

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, sum of dims) -> (B, D)."""
        return self.observed(inputs)[0]


@ADAPTORS.register(
    "gate", title="Gate: picks teachers image by image", source="idea: MST-Distill, ACM MM 2025; the rest: FairLab"
)
def build_gate(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """A map for each teacher, and the gate that chooses among them."""
    return Gate(settings, input_dims)
