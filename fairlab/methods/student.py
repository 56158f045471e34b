"""What the students beside MST-KD's share: a backbone, an identity loss of their own, and one distillation term."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import SMALLEST, MarginHead
from fairlab.methods.base import (
    METHODS,
    Batch,
    Inherited,
    Method,
    build_backbone,
    build_head,
    build_learner,
    method_settings,
    unit_targets,
)
from fairlab.settings.distillation import TermSettings
from fairlab.settings.study import Run


class Student(Method):
    """Identity loss + kd_weight x term(embeddings (B, D), batch) -> (); a file of its own says what the term is.

    Registered with in_space=True, the student's embedding is compared with the parent's number by number, so it has the
    same length. Where only relations or logits are compared, the lengths are free.
    """

    needs_targets = True

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__()
        if METHODS.facts(settings.method).get("in_space"):
            self.learner, self.embedding_dim = build_learner(settings, image_px, teacher_dims)
        else:
            self.learner, self.embedding_dim = build_backbone(settings, image_px)
        self.head: MarginHead = build_head(settings, self.embedding_dim, classes)
        self.kd_weight = method_settings(settings, TermSettings).kd_weight

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return self.kd_weight * self.term(embeddings.to(unit_targets(batch).dtype), batch)

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """How far the student is from its teacher, before the weight: ()."""
        raise NotImplementedError(f"{type(self).__name__} must say what it learns from its teacher")


def checked(settings: Run, inherited: Inherited | None, classes: int, dim: int | None = None) -> Inherited:
    """The inherited classifier, if it has a centre for each of the run's identities, `dim` long where that matters.

    Raises FairLabError: a classifier of other identities must not pass.
    """
    if inherited is None:
        raise FairLabError(f"method {settings.method} needs its parent's classifier, and none was given")
    expected = (classes, inherited.centres.shape[1] if dim is None else dim)
    if tuple(inherited.centres.shape) != expected:
        raise FairLabError(
            f"the inherited classifier has {' x '.join(map(str, inherited.centres.shape))} numbers, the run has "
            f"{classes} identities and embeddings of length {expected[1]}"
        )
    return inherited


class Heir(Method):
    """A student in its parent's space whose classifier is its parent's, frozen: the run's margin loss over its centres."""

    needs_head = True

    def __init__(
        self,
        settings: Run,
        *,
        classes: int,
        image_px: int,
        teacher_dims: tuple[int, ...] = (),
        inherited: Inherited | None = None,
    ) -> None:
        super().__init__()
        dims = teacher_dims or (checked(settings, inherited, classes).centres.shape[1],)
        self.learner, self.embedding_dim = build_learner(settings, image_px, dims)
        self.head: MarginHead = build_head(settings, self.embedding_dim, classes)
        centres = checked(settings, inherited, classes, self.embedding_dim).centres
        self.head.weight = torch.nn.Parameter(centres.to(torch.float32).clone(), requires_grad=False)


def cosines(embeddings: Tensor, centres: Tensor) -> Tensor:
    """Of every embedding (B, D) with every class centre (C, D), both of any length: (B, C)."""
    lengths = torch.linalg.vector_norm(centres, dim=1).clamp_min(SMALLEST)
    return functional.normalize(embeddings) @ centres.to(embeddings.dtype).t() / lengths.to(embeddings.dtype)
