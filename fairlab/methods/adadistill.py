"""AdaDistill: class centres that move with the teacher's embeddings, the further along the student is the less (arXiv 2407.01332)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fairlab.losses.base import MarginHead
from fairlab.methods.base import METHODS, Batch, Method, build_head, build_learner, method_settings, unit_targets
from fairlab.settings.distillation import AdaDistillSettings, CentreShare
from fairlab.settings.study import Run

LEAST = 1e-6
"""Of a, and of the centre's cosine in it."""


@METHODS.register(
    "adadistill",
    title="AdaDistill student",
    roles=("student",),
    parents="space",
    in_space=True,
    source="arXiv 2407.01332",
)
class AdaDistill(Method):
    """The run's margin loss over centres W_y <- a W_y + (1 - a) t, moved before every step and without a gradient.

    a = cos(f_s, t) x cos(W_y, t), both cut off as the paper's weighted form has it; centre_share "plain": a = cos(f_s, t),
    which keeps the random start of a centre far longer once the student is good. The centres are the head's, so
    they are part of every checkpoint. Several images of one identity in a batch each start from the centre before the
    step, and the centre becomes the mean of where they would put it: their order does not matter. compat: the last
    image alone counts, which is what the published code does where its order is defined. The paper's margins: 0.45 rad
    (ArcFace), 0.35 (CosFace).
    """

    needs_targets = True

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.learner, self.embedding_dim = build_learner(settings, image_px, teacher_dims)
        self.head: MarginHead = build_head(settings, self.embedding_dim, classes)
        self.head.weight.requires_grad_(False)
        self.about = method_settings(settings, AdaDistillSettings)

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        if self.training:
            old = self.head.centres_of(batch.identities)
            students, targets = embeddings.detach().to(old.dtype), unit_targets(batch)
            people, centres = moved_centres(
                old, students, targets, batch.identities, last_counts=self.about.compat, share=self.about.centre_share
            )
            self.head.put_centres(people, centres)
        return super().identity(embeddings, batch)


@torch.no_grad()
def moved_centres(
    old: Tensor,
    students: Tensor,
    targets: Tensor,
    identities: Tensor,
    last_counts: bool = False,
    share: CentreShare = "weighted",
) -> tuple[Tensor, Tensor]:
    """(identities of the batch (U,), their new centres (U, D)) from the images' centres, embeddings and unit targets.

    old, students, targets: (B, D) each; identities: (B,).
    """
    kept = kept_share(students, old, targets, share)[:, None]
    wanted = kept * old + (1 - kept) * targets
    people, place = identities.unique(return_inverse=True)
    if last_counts:
        number = torch.arange(len(identities), device=identities.device)
        last = torch.zeros_like(people).scatter_reduce(0, place, number, "amax", include_self=False)
        return people, wanted[last]
    # A product instead of adding row by row: on a GPU that would add in an order of its own every time.
    of = torch.nn.functional.one_hot(place, len(people)).t().to(wanted.dtype)
    return people, (of @ wanted) / of.sum(1, keepdim=True)


def kept_share(students: Tensor, centres: Tensor, targets: Tensor, share: CentreShare = "weighted") -> Tensor:
    """a: how much of the old centre stays, 1e-6..1; (B, D) each -> (B,)."""
    along = functional.cosine_similarity(students, targets)
    if share == "plain":
        return along.clamp(LEAST, 1.0)
    settled = functional.cosine_similarity(centres, targets).clamp(LEAST, 1.0)
    return (along * settled).clamp(LEAST, 1.0)
