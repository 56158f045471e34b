"""The contract between a method and the loop: the loop knows nothing but this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

import torch
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
COUNTS = ("routed/", "seen/")
"""Readings whose names begin so are counts: they add up over batches, steps and processes, where others are means."""


@dataclass
class Batch:
    """What one step sees.

    inputs: images (B, 3, H, W) in -1..1, or teachers' unit embeddings side by side (B, sum of dims);
    identities: (B,) long, 0..C-1; targets: unit embeddings to imitate (B, D), of several parents (B, n, D) in the
    parents' order, or None; lengths: their raw lengths (B,) or (B, n), so that target x length is what the parent's
    network gave, or None; groups: (B,) long, the numbers of the images' groups, -1 for none, for readings only, or None.
    Where a step has two halves (training.pair_identities), general: how many of the whole step's rows are its general
    half, which come first; images: (B,) long, the images' numbers, since one may be in both halves; otherwise None.
    margin_factors: (B,), what each image's margin is multiplied by, or None.
    """

    inputs: Tensor
    identities: Tensor
    targets: Tensor | None = None
    lengths: Tensor | None = None
    groups: Tensor | None = None
    general: int | None = None
    images: Tensor | None = None
    margin_factors: Tensor | None = None

    def gathered(self, gather: Callable[[Tensor], Tensor]) -> Batch:
        """The whole step's, where several processes share it: every part but the inputs, which each has passed itself.

        The shares of the processes are contiguous, so its general half comes first as in one process.
        """
        return self._changed(gather)

    def general_half(self) -> Batch:
        """Of the whole step's batch the general half, in every part but the inputs; all of it where there are no halves."""
        return self._changed(lambda part: part[: self.general])

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        parts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "inputs"}
        changed: dict[str, Any] = {name: change(part) for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **changed)


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


@dataclass(frozen=True)
class Stage:
    """What of a method trains in a pass."""

    name: str = ""
    """What the method calls it."""
    frozen: frozenset[str] = frozenset()
    """Parts of the method, e.g. "learner", "head" or a module of its own, that are in evaluation mode and keep every bit."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What the method multiplies its terms by, by the method's own names."""


class Method(nn.Module):
    """`learner` is the network the run is about; `head` its classifier, thrown away after training, or None.

    forward(batch) -> {"loss": (), "identity": (), "distillation": ()}; loss is the sum of the terms, all as
    they enter it (weighted); a term that the method does not have is zero. A method may have further terms, and scalars
    without a gradient, which are readings and no part of the loss. needs_targets: it learns from its parent's
    embeddings; needs_head: from its parent's classifier, and so is built with `inherited`; needs_centroids: from its
    parents' mean embeddings of each identity, and so is built with `centroids`. What a method remembers between steps is a
    buffer of learner or head, so that it is part of every checkpoint; what it trains beside them, e.g. a projection, is a
    module right inside it, which has its optimiser and is part of every checkpoint too.

    stage(epoch, epochs) says what trains in a pass, from the numbers alone: the loop puts it into `now` before the pass,
    and a resumed run needs nothing. `rate`: factor on the learning rate of what is neither learner nor head.

    Where several processes train, passed() sees the images of this one and terms() those of the whole step, alike in
    every process; whole_head: it needs all class centres at once, which are shared out otherwise.
    """

    inputs: ClassVar[Literal["images", "embeddings"]] = "images"
    needs_targets: bool = False
    needs_head: ClassVar[bool] = False
    needs_centroids: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    needs_group: bool = False
    """Do its inputs, embeddings, end with the number of the teacher of the image's own group?"""

    whole_head: ClassVar[bool] = False
    general_identity: bool = False
    """Is its identity loss over the general half of a batch only, where a batch has two halves?"""
    shared: Shared | None = None
    now: Stage = Stage()
    rate: float = 1.0
    counts: Mapping[str, Tensor] = {}
    """What the last step's batch counted, by the names in COUNTS without their "/": (groups,) or (groups, n) whole
    numbers, row g for the group of number g."""

    learner: nn.Module
    head: MarginHead | None
    embedding_dim: int

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        # A network that is frozen needs no graph, and processes that share it must not wait for its gradients.
        with torch.set_grad_enabled(torch.is_grad_enabled() and "learner" not in self.now.frozen):
            if self.shared is None:
                made = self.passed(batch.inputs)
            else:
                made = tuple(self.shared.gather(part) for part in self.shared.network(batch.inputs))
        return self.terms(made, batch if self.shared is None else batch.gathered(self.shared.gather))

    def stage(self, epoch: int, epochs: int) -> Stage:
        """What trains in pass `epoch` (from 0) of `epochs`: everything, for most. Raises FairLabError for too few passes."""
        return Stage()

    def begin(self, stage: Stage) -> None:
        """Into the training mode of a stage: parts that are frozen evaluate."""
        self.now = stage
        self.train()
        for name in stage.frozen:
            self.get_submodule(name).eval()

    def passed(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network makes of the images, a row for each: first its embeddings (B, D)."""
        return (self.learner(inputs),)

    def terms(self, made: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
        """The loss and its terms, from what passed() made."""
        embeddings = made[0]
        identity, distillation = self.identity_term(embeddings, batch), self.distillation(embeddings, batch)
        return {"loss": identity + distillation, "identity": identity, "distillation": distillation}

    def identity_term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """identity() over the images that count in it."""
        if self.general_identity and batch.general is not None:
            return self.identity(embeddings[: batch.general], batch.general_half())
        return self.identity(embeddings, batch)

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The classifier's loss over the batch; zero without a classifier."""
        if self.head is None:
            return embeddings.new_zeros(())
        return self.head.loss(embeddings, batch.identities, batch.margin_factors)

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """The pull to the targets; zero for a method without."""
        return embeddings.new_zeros(())

    def readings(self) -> dict[str, Tensor]:
        """What of the last batch is worth reading beside the terms: () each, without a gradient, over the whole step."""
        return {}


MethodBuilder = Callable[..., Method]
METHODS: Registry[MethodBuilder] = Registry("method", "fairlab.methods")
"""build(settings: config.Run, *, classes, image_px, teacher_dims) -> Method; with needs_head also inherited: Inherited,
with needs_centroids also centroids: Tensor (C, D), row c for the run's identity c; of several teachers (n, C, D).

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
