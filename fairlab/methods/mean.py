"""The normalised mean of the teachers' unit embeddings: a common space that needs no training."""

from __future__ import annotations

from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Method
from fairlab.models.adaptors.group import one_length
from fairlab.settings.study import Run


class MeanOfTeachers(nn.Module):
    """What SL does with the weights [I I ... I] / n and no bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, n * dim) -> (B, dim), not normalised yet."""
        return inputs.unflatten(1, (-1, self.dim)).mean(dim=1)


@METHODS.register(
    "mean",
    title="Mean of the teachers",
    roles=("baseline",),
    parents="teachers",
    source="FairLab; no training",
    rule=True,
)
class Mean(Method):
    """Nothing to learn. Spaces that were trained apart share no axes, so what a mean of them is worth is a question."""

    inputs = "embeddings"
    trains = False

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> None:
        super().__init__()
        if not teacher_dims:
            raise FairLabError("method mean needs at least one teacher as parent")
        self.embedding_dim = one_length("method mean", teacher_dims)
        self.learner, self.head = MeanOfTeachers(self.embedding_dim), None
