"""The contract between a method and the loop: the loop knows nothing but this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, TypeVar

from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import LOSSES, MarginHead
from fairlab.models.backbones.projected import Projected
from fairlab.models.base import BACKBONES
from fairlab.registry import Registry
from fairlab.settings.distillation import Distillation, ProxylessKDSettings, PullSettings
from fairlab.settings.study import Run

D = TypeVar("D", bound=Distillation)

PAPER_DIM = 512
"""Embedding length of MST-KD (arXiv 2408.16563, official code), at which its lambda of 10,000 holds."""
NO_TARGETS = "a distilled student needs targets: the stored embeddings of its parent"


@dataclass
class Batch:
    """What one step sees.

    inputs: images (B, 3, H, W) in -1..1, or teachers' unit embeddings side by side (B, sum of dims);
    identities: (B,) long, 0..C-1; targets: unit embeddings to imitate (B, D), or None; lengths: their raw lengths (B,),
    so that target x length is what the parent's network gave, or None; groups: (B,) long, the numbers of the images'
    groups, for readings only, or None; margin_factors: (B,), what each image's margin is multiplied by, or None.
    """

    inputs: Tensor
    identities: Tensor
    targets: Tensor | None = None
    lengths: Tensor | None = None
    groups: Tensor | None = None
    margin_factors: Tensor | None = None

    def gathered(self, gather: Callable[[Tensor], Tensor]) -> Batch:
        """The whole step's, where several processes share it: every part but the inputs, which each has passed itself."""
        parts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "inputs"}
        return replace(self, **{name: gather(part) for name, part in parts.items() if part is not None})


@dataclass(frozen=True)
class Shared:
    """Where several processes train: how each, with its share of a step's images, sees the whole step's.

    network: as Method.passed, with gradients of the network that are averaged over the processes; gather: from a row
    for each image here to those of all processes in order, in each; the gradient of a row is the sum of theirs.
    """

    network: Callable[[Tensor], tuple[Tensor, ...]]
    gather: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Inherited:
    """A parent's classifier: its class centres (C, D), row c for the run's identity c, and the scale of its logits."""

    centres: Tensor
    scale: float


class Method(nn.Module):
    """`learner` is the network the run is about; `head` its classifier, thrown away after training, or None.

    forward(batch) -> {"loss": (), "identity": (), "distillation": ()}; loss is the sum of the two terms, both as
    they enter it (weighted); a term that the method does not have is zero. needs_targets: it learns from its parent's
    embeddings; needs_head: from its parent's classifier, and so is built with `inherited`. What a method remembers
    between steps is a buffer of learner or head, so that it is part of every checkpoint.

    Where several processes train, passed() sees the images of this one and terms() those of the whole step, alike in
    every process; whole_head: it needs all class centres at once, which are shared out otherwise.
    """

    inputs: ClassVar[Literal["images", "embeddings"]] = "images"
    needs_targets: bool = False
    needs_head: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    needs_group: bool = False
    """Do its inputs, embeddings, end with the number of the teacher of the image's own group?"""

    whole_head: ClassVar[bool] = False
    shared: Shared | None = None

    learner: nn.Module
    head: MarginHead | None
    embedding_dim: int

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        if self.shared is None:
            return self.terms(self.passed(batch.inputs), batch)
        gather = self.shared.gather
        made = tuple(gather(part) for part in self.shared.network(batch.inputs))
        return self.terms(made, batch.gathered(gather))

    def passed(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network makes of the images, a row for each: first its embeddings (B, D)."""
        return (self.learner(inputs),)

    def terms(self, made: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
        """The loss and its terms, from what passed() made."""
        embeddings = made[0]
        identity, distillation = self.identity(embeddings, batch), self.distillation(embeddings, batch)
        return {"loss": identity + distillation, "identity": identity, "distillation": distillation}

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The classifier's loss over the batch; zero without a classifier."""
        if self.head is None:
            return embeddings.new_zeros(())
        return self.head.loss(embeddings, batch.identities, batch.margin_factors)

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The pull to the targets; zero for a method without."""
        return embeddings.new_zeros(())


MethodBuilder = Callable[..., Method]
METHODS: Registry[MethodBuilder] = Registry("method", "fairlab.methods")
"""build(settings: config.Run, *, classes, image_px, teacher_dims) -> Method; with needs_head also inherited: Inherited.

Facts of a registration: title, roles (of runs that use it), parents ("": none, "teachers": several spaces side by side,
"space": one of any kind), source; and where they are not as for most: identities=False (it learns no identities),
inherits=True (it takes over the classifier of its space), in_space=True (its embedding lies in that space), rule=True (a common space without training), needs_group=True
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


def build_learner(settings: Run, image_px: int, teacher_dims: tuple[int, ...]) -> tuple[nn.Module, int]:
    """A student in its teacher's space: the backbone, and the length of the embedding, which is the teacher's.

    The one rule: where the two differ, one trained linear layer without bias follows the backbone. Without
    teacher_dims the space is the backbone's own. Raises FairLabError for more than one space.
    """
    backbone, own_dim = build_backbone(settings, image_px)
    space_dim = one_space(settings, teacher_dims, own_dim)
    return (backbone, own_dim) if space_dim == own_dim else (Projected(backbone, own_dim, space_dim), space_dim)


def one_space(settings: Run, teacher_dims: tuple[int, ...], otherwise: int) -> int:
    """The length of the only parent's embedding; `otherwise` where there is none. Raises FairLabError for several."""
    if len(teacher_dims) > 1:
        raise FairLabError(
            f"method {settings.method} learns from one space and was given {len(teacher_dims)}; "
            "fuse them into a common space first"
        )
    return teacher_dims[0] if teacher_dims else otherwise


def kd_weight(settings: PullSettings | ProxylessKDSettings, embedding_dim: int) -> float:
    """lambda: the weight at 512 dimensions, scaled so that the pull per image is the same at any length.

    With unit vectors lambda * MSE = (lambda / D) * (2 - 2 cos). The paper has lambda = 10,000 at D = 512, which is
    39.0625 per unit of 1 - cos; lambda = 10,000 * D / 512 keeps that.
    """
    return settings.kd_weight * embedding_dim / PAPER_DIM


def method_settings(settings: Run, kind: type[D]) -> D:
    """The run's settings of its method, which are of `kind`; a run without any has the defaults.

    Raises FairLabError for those of a method that is none of that kind.
    """
    if settings.distillation is None:
        return kind()
    if not isinstance(settings.distillation, kind):
        raise FairLabError(f"method {settings.method} needs settings of {kind.__name__}")
    return settings.distillation


def unit_targets(batch: Batch) -> Tensor:
    """The parent's unit embeddings (B, D) of the batch. Raises FairLabError when it carries none."""
    if batch.targets is None:
        raise FairLabError(NO_TARGETS)
    return batch.targets


def raw_targets(batch: Batch) -> Tensor:
    """The parent's embeddings (B, D) as its network gave them: unit target x length. Raises FairLabError without."""
    targets = unit_targets(batch)
    if batch.lengths is None:
        raise FairLabError("this method learns from embeddings of their own length: the batch carries no lengths")
    return targets * batch.lengths[:, None]


def unit_distance(embeddings: Tensor, targets: Tensor | None) -> Tensor:
    """Mean squared difference, over batch and dims, of the normalised embeddings and the unit targets.

    embeddings, targets: (B, D) -> (), equal to mean(2 - 2 cos) / D. As in the official code of arXiv 2408.16563.
    """
    if targets is None:
        raise FairLabError(NO_TARGETS)
    if targets.shape != embeddings.shape:
        raise FairLabError(
            f"the student's embeddings are {tuple(embeddings.shape)} and their targets {tuple(targets.shape)}: "
            "student and common space need the same embedding_dim"
        )
    return functional.mse_loss(functional.normalize(embeddings), targets)
