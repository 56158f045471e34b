"""MST-KD's adaptor: fuses any number of teachers into one common space (arXiv 2408.16563)."""

from __future__ import annotations

import torch
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Method, build_head
from fairlab.models.base import ADAPTORS, HasTerms
from fairlab.settings.study import Run


@METHODS.register(
    "common_space", title="Common space", roles=("adaptor",), parents="teachers", source="arXiv 2408.16563"
)
class CommonSpace(Method):
    """Identity classification over all identities from the teachers' stored embeddings.

    Groups are no input but for the adaptors that say needs_group. Terms of an adaptor's own are added to the loss.
    """

    inputs = "embeddings"

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> None:
        super().__init__()
        if settings.adaptor is None:
            raise FairLabError("method common_space needs settings for an adaptor")
        if not teacher_dims:
            raise FairLabError("method common_space needs at least one teacher as parent")
        self.learner = ADAPTORS[settings.adaptor.name](settings.adaptor, teacher_dims)
        self.needs_group = bool(ADAPTORS.facts(settings.adaptor.name).get("needs_group", False))
        self.embedding_dim = settings.adaptor.embedding_dim
        self.head = build_head(settings, self.embedding_dim, classes)

    def passed(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return self.learner.observed(inputs) if isinstance(self.learner, HasTerms) else super().passed(inputs)

    def terms(self, made: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
        if not isinstance(self.learner, HasTerms):
            return super().terms(made, batch)
        embeddings, observed = made
        further = self.learner.terms(observed)
        terms = {"identity": self.identity_term(embeddings, batch), "distillation": embeddings.new_zeros(()), **further}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}
