"""MST-Distill: one student, several teachers, and a gate that routes each image to some of them (arXiv 2507.07015).

The paper distils across modalities. Faces have none: this is FairLab's analogue for several specialised teachers, whose
stored embeddings are the targets. What it has of the published code (Gray-OREO/MST-Distill, main-MST-Distill.py and
KD_methods/MST.py): the three stages, T^2 KL at T = 4, top k of a gate that the student feeds, load balance, masks, and
how the weights fall. What is FairLab's: logits by cosine to each teacher's own class centroids, a gate that sees the
embedding, masks on the embedding, the run's margin loss.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import MarginHead
from fairlab.methods.base import (
    METHODS,
    Batch,
    Method,
    Stage,
    build_backbone,
    build_head,
    method_settings,
    unit_targets,
)
from fairlab.methods.routing import balance, chosen, divergences, means_of, routed, surest
from fairlab.methods.student import cosines
from fairlab.models.masks import build_masks
from fairlab.settings.distillation import MSTDistillSettings
from fairlab.settings.study import Run

WARM, MASKS, ROUTING = "warm", "masks", "routing"
KD_FALL, BALANCE_FALL = (0.5, 30), (0.9, 10)
"""(factor, epochs): after epochs 0, 30, 60, ... of routing, and 0, 10, 20, ... (main-MST-Distill.py:526-527)."""


def weights_in(epoch: int) -> Mapping[str, float]:
    """What the published weights have fallen to in routing epoch `epoch`, from 0: 1 in the first alone."""
    return {
        name: factor ** -(-epoch // every) for name, (factor, every) in (("kd", KD_FALL), ("balance", BALANCE_FALL))
    }


@METHODS.register(
    "mst_distill",
    title="MST-Distill student",
    roles=("student",),
    parents="teachers",
    source="MST-Distill, arXiv 2507.07015; the analogue for faces is FairLab's",
)
class MSTDistill(Method):
    """Margin loss + kd_weight x (1/k) sum over the k chosen teachers of T^2 KL(teacher || student) + balance.

    A teacher's logits are s cos(mask x stored embedding, its class centroids), the student's s cos(embedding, its own
    class centres), s the run's scale. Groups are no input, only counted. With gate_learns balance, as published, the gate
    learns from the balance alone: the choice of teachers is an index, which has no gradient.
    """

    needs_targets = True
    needs_centroids = True
    whole_head = True
    head: MarginHead
    masks: nn.Module
    teacher_centres: Tensor

    def __init__(
        self,
        settings: Run,
        *,
        classes: int,
        image_px: int,
        teacher_dims: tuple[int, ...],
        centroids: Tensor | None = None,
    ) -> None:
        super().__init__()
        about = self.about = method_settings(settings, MSTDistillSettings)
        centres = _checked(centroids, teacher_dims, classes)
        if about.top_k > len(teacher_dims):
            raise FairLabError(
                f"mst_distill cannot route an image to top_k = {about.top_k} teachers: there are {len(teacher_dims)}"
            )
        self.learner, self.embedding_dim = build_backbone(settings, image_px)
        self.head = build_head(settings, self.embedding_dim, classes)
        self.scale = self.head.scale
        self.gate = nn.Linear(self.embedding_dim, len(teacher_dims))
        nn.init.zeros_(self.gate.bias)  # else all images of the first steps have one teacher, which no term can see
        masks = build_masks(about.mask, len(teacher_dims), teacher_dims[0])
        if masks is not None:
            self.masks = masks
        self.register_buffer("teacher_centres", centres.float(), persistent=False)  # stays the parents'
        self.rate = about.gate_rate
        self.now = Stage(ROUTING, self._frozen({"masks"}), weights_in(0))

    def _frozen(self, names: set[str]) -> frozenset[str]:
        return frozenset(names if self.about.mask != "none" else names - {"masks"})

    def stage(self, epoch: int, epochs: int) -> Stage:
        try:
            self.about.check_epochs(epochs)
        except ValueError as error:
            raise FairLabError(str(error)) from error
        if epoch < self.about.warm_epochs:
            return Stage(WARM, self._frozen({"gate", "masks"}))
        if epoch < self.about.before_routing:
            return Stage(MASKS, self._frozen({"learner", "head", "gate"}))
        return Stage(ROUTING, self._frozen({"masks"}), weights_in(epoch - self.about.before_routing))

    def terms(self, made: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
        targets = unit_targets(batch)
        embeddings = made[0].to(targets.dtype)
        self.counts = {}
        student = self.scale * cosines(embeddings, self.head.weight)
        if self.now.name == MASKS:
            return self._mask_terms(student.detach(), targets)
        identity = self.identity(made[0], batch)
        if self.now.name == WARM:
            pulls = divergences(self.teacher_logits(targets), student, self.about.temperature)
            distillation = pulls.sum(1).mean()
            return {"loss": identity + distillation, "identity": identity, "distillation": distillation}
        return self._routed_terms(embeddings, student, identity, batch)

    def _mask_terms(self, student: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The masks learn to make each teacher's logits the student's: sum over teachers of T^2 KL(student || teacher)."""
        teachers = self.teacher_logits(self.masks(targets))
        apart = [divergences(student[None], one, self.about.temperature).mean() for one in teachers]
        masks, none = torch.stack(apart).sum(), student.new_zeros(())
        return {"loss": masks, "identity": none, "distillation": none, "masks": masks}

    def _routed_terms(self, embeddings: Tensor, student: Tensor, identity: Tensor, batch: Batch) -> dict[str, Tensor]:
        about, weights = self.about, self.now.weights
        with torch.no_grad():  # masks and teachers are fixed
            targets = unit_targets(batch)
            teachers = self.teacher_logits(targets if about.mask == "none" else self.masks(targets))
            people = batch.identities.expand(len(teachers), -1)
            entropies = -teachers.log_softmax(2).gather(2, people[:, :, None])[:, :, 0].t()  # (B, n)
        units = functional.normalize(embeddings)
        log_shares = self.gate(units.detach() if about.gate_detached else units).log_softmax(1)
        shares = log_shares.exp()
        picked = chosen(shares, about.top_k)
        pulls = divergences(teachers, student, about.temperature)
        distillation = weights["kd"] * about.kd_weight * routed(pulls, picked, shares, about.gate_learns == "kl")
        spread = weights["balance"] * about.balance_weight * balance(log_shares, about.balance, about.as_published)
        terms = {"identity": identity, "distillation": distillation, "balance": spread}
        if about.gate_learns == "right":
            terms["right"] = surest(entropies, log_shares, about.surest_temperature)
        self._count(picked, batch.groups)
        readings = means_of({"kl": pulls, "ce": entropies}, picked, about.top_k < len(teachers))
        return {"loss": torch.stack(list(terms.values())).sum(), **terms, **readings}

    def teacher_logits(self, targets: Tensor) -> Tensor:
        """From embeddings (B, n, D) of any length to s times their cosines with each teacher's centroids: (n, B, C)."""
        units = functional.normalize(targets, dim=2).transpose(0, 1)
        return self.scale * units @ self.teacher_centres.to(units.dtype).transpose(1, 2)

    @torch.no_grad()
    def _count(self, picked: Tensor, groups: Tensor | None) -> None:
        """Images of every group, and times that they were routed to each teacher."""
        if groups is None:
            return
        known = groups >= 0
        picked, groups = picked[known].cpu().long(), groups[known].cpu()
        size = int(groups.max()) + 1 if len(groups) else 0
        table = torch.zeros(size, picked.shape[1], dtype=torch.long).index_add_(0, groups, picked)
        self.counts = {"routed": table, "seen": torch.bincount(groups, minlength=size)}


def _checked(centroids: Tensor | None, dims: tuple[int, ...], classes: int) -> Tensor:
    """The class centroids (n, C, D) of all teachers. Raises FairLabError for none, other people, or unequal lengths."""
    if not dims:
        raise FairLabError("method mst_distill needs at least one teacher as parent")
    if len(set(dims)) > 1:
        raise FairLabError(
            "mst_distill reads the targets of all teachers as one table, so their embeddings must be equally long; these "
            f"are {', '.join(map(str, dims))} numbers long"
        )
    if centroids is None:
        raise FairLabError("method mst_distill needs its teachers' class centroids, and none were given")
    if tuple(centroids.shape) != (len(dims), classes, dims[0]):
        raise FairLabError(
            f"the teachers' class centroids have {' x '.join(map(str, centroids.shape))} numbers, the run has "
            f"{len(dims)} teachers, {classes} identities and embeddings of length {dims[0]}"
        )
    return functional.normalize(centroids, dim=2)
