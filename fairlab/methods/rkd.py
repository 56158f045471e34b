"""RKD: keep the teacher's distances and angles among the images of a batch (Park et al., CVPR 2019, arXiv 1904.05068)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, raw_targets
from fairlab.methods.student import Student

DISTANCE_WEIGHT, ANGLE_WEIGHT = 25.0, 50.0
"""Of the two parts, as in the paper and TFace."""
SMALLEST = 1e-12
"""Squared distances below this are none: the direction between two equal embeddings has no gradient."""


@METHODS.register(
    "rkd", title="RKD student", roles=("student",), parents="space", source="arXiv 1904.05068; formula as in TFace"
)
class RKD(Student):
    """25 x distances + 50 x angles, of the raw embeddings; kd_weight (1) is over both.

    Invariant to rotation, shift and scale of the student's space. Needs B x B x (B + D) numbers of memory.
    """

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        targets = raw_targets(batch)
        return DISTANCE_WEIGHT * distances_apart(embeddings, targets) + ANGLE_WEIGHT * angles_apart(embeddings, targets)


def distances_apart(students: Tensor, teachers: Tensor) -> Tensor:
    """Smooth L1 of the distances between all images, each set divided by the mean of its positive ones: ()."""
    return functional.smooth_l1_loss(_relative_distances(students), _relative_distances(teachers))


def angles_apart(students: Tensor, teachers: Tensor) -> Tensor:
    """Smooth L1 of cos(angle at image i between images j and k), over all triplets (B, B, B): ()."""
    return functional.smooth_l1_loss(_angles(students), _angles(teachers))


def _relative_distances(embeddings: Tensor) -> Tensor:
    distances = lengths_of((embeddings[:, None] - embeddings).square().sum(2))
    positive = distances > 0
    return distances / (distances.sum() / positive.sum()) if positive.any() else distances


def _angles(embeddings: Tensor) -> Tensor:
    difference = embeddings - embeddings[:, None]
    lengths = lengths_of(difference.square().sum(2, keepdim=True))
    direction = difference / torch.where(lengths > 0, lengths, torch.inf)
    return direction @ direction.transpose(1, 2)


def lengths_of(squares: Tensor) -> Tensor:
    """Square roots, 0 without a gradient where there is next to nothing: sqrt's own would be infinite."""
    some = squares > SMALLEST
    return torch.where(some, torch.where(some, squares, 1.0).sqrt(), 0.0)
