"""The contract between a method and the loop: the loop knows nothing but this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from fairlab.config import Run
from fairlab.errors import FairLabError
from fairlab.losses.base import LOSSES, MarginHead
from fairlab.models.base import BACKBONES
from fairlab.registry import Registry

PAPER_DIM, PAPER_WEIGHT = 512, 10_000.0
"""Embedding length and lambda of MST-KD (arXiv 2408.16563, official code)."""


@dataclass
class Batch:
    """What one step sees.

    inputs: images (B, 3, H, W) in -1..1, or teachers' unit embeddings side by side (B, sum of dims);
    identities: (B,) long, 0..C-1; targets: unit embeddings to imitate (B, D), or None.
    """

    inputs: Tensor
    identities: Tensor
    targets: Tensor | None = None


class Method(nn.Module):
    """`learner` is the network the run is about; `head` its classifier, thrown away after training, or None.

    forward(batch) -> {"loss": (), "identity": (), "distillation": ()}; loss is the sum of the two terms, both as
    they enter it (weighted); a term that the method does not have is zero.
    """

    inputs: ClassVar[Literal["images", "embeddings"]] = "images"
    needs_targets: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    needs_group: bool = False
    """Do its inputs, embeddings, end with the number of the teacher of the image's own group?"""

    learner: nn.Module
    head: MarginHead | None
    embedding_dim: int

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        embeddings = self.learner(batch.inputs)
        identity, distillation = self.identity(embeddings, batch), self.distillation(embeddings, batch)
        return {"loss": identity + distillation, "identity": identity, "distillation": distillation}

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The classifier's loss over the batch; zero without a classifier."""
        if self.head is None:
            return embeddings.new_zeros(())
        return self.head.loss(embeddings, batch.identities)

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The pull to the targets; zero for a method without."""
        return embeddings.new_zeros(())


MethodBuilder = Callable[..., Method]
METHODS: Registry[MethodBuilder] = Registry("method", "fairlab.methods")
"""build(settings: config.Run, *, classes, image_px, teacher_dims) -> Method.

Facts of a registration: title, roles (of runs that use it), parents ("": none, "teachers": several spaces side by side,
"space": one of any kind), source; and where they are not as for most: identities=False (it learns no identities),
inherits=True (it takes over the classifier of its space), rule=True (a common space without training), needs_group=True
(of each image, the teacher that is specialised on its group must be known).
"""


def build_backbone(settings: Run, image_px: int) -> tuple[nn.Module, int]:
    """The run's backbone and the length of its embedding. Raises FairLabError when its settings name none."""
    if settings.backbone is None:
        raise FairLabError(f"method {settings.method} needs settings for a backbone")
    return BACKBONES[settings.backbone.name](settings.backbone, image_px), settings.backbone.embedding_dim


def build_head(settings: Run, embedding_dim: int, classes: int) -> MarginHead:
    """The run's classifier over `classes` identities. Raises FairLabError for less than two of them."""
    if settings.loss is None:
        raise FairLabError(f"method {settings.method} needs settings for a loss")
    if classes < 2:
        raise FairLabError(f"an identity loss needs two or more identities to tell apart; the data has {classes}")
    return LOSSES[settings.loss.name](embedding_dim, classes, settings.loss)


def kd_weight(settings: Run, embedding_dim: int) -> float:
    """lambda: as set, or the paper's 10,000 scaled so that the pull per image is the same at any length.

    With unit vectors lambda * MSE = (lambda / D) * (2 - 2 cos). The paper has lambda = 10,000 at D = 512, which is
    39.0625 per unit of 1 - cos; lambda = 10,000 * D / 512 keeps that.
    """
    given = settings.distillation.kd_weight if settings.distillation else None
    return PAPER_WEIGHT * embedding_dim / PAPER_DIM if given is None else given


def unit_distance(embeddings: Tensor, targets: Tensor | None) -> Tensor:
    """Mean squared difference, over batch and dims, of the normalised embeddings and the unit targets.

    embeddings, targets: (B, D) -> (), equal to mean(2 - 2 cos) / D. As in the official code of arXiv 2408.16563.
    """
    if targets is None:
        raise FairLabError("a distilled student needs targets: the stored embeddings of its parent")
    if targets.shape != embeddings.shape:
        raise FairLabError(
            f"the student's embeddings are {tuple(embeddings.shape)} and their targets {tuple(targets.shape)}: "
            "student and common space need the same embedding_dim"
        )
    return functional.mse_loss(functional.normalize(embeddings), targets)
