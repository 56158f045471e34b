"""The embedding of the image's own group's teacher: a common space that needs no training, but the group."""

from __future__ import annotations

from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Method
from fairlab.models.adaptors.group import one_length, own_embedding
from fairlab.settings.study import Run


class OwnEmbedding(nn.Module):
    """Picks a block by the number in the last column."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, n * dim + 1) -> (B, dim)."""
        return own_embedding(inputs, self.dim)


@METHODS.register(
    "own_teacher",
    title="Own teacher",
    roles=("baseline",),
    parents="teachers",
    source="FairLab; no training",
    rule=True,
    needs_group=True,
)
class OwnTeacher(Method):
    """Nothing to learn. Faces of two groups lie in two spaces here: a comparison across groups says nothing."""

    inputs = "embeddings"
    trains = False
    needs_group = True

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> None:
        super().__init__()
        if not teacher_dims:
            raise FairLabError("method own_teacher needs at least one teacher as parent")
        self.embedding_dim = one_length("method own_teacher", teacher_dims)
        self.learner, self.head = OwnEmbedding(self.embedding_dim), None
