"""The teachers' unit embeddings side by side: the space that the adaptor starts from, as a baseline."""

from __future__ import annotations

from torch import nn

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Method
from fairlab.settings.study import Run


@METHODS.register(
    "concatenation", title="Concatenation", roles=("baseline",), parents="teachers", source="FairLab; no training"
)
class Concatenation(Method):
    """Nothing to learn. The cosine of two concatenations is the mean of the teachers' cosines."""

    inputs = "embeddings"
    trains = False

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> None:
        super().__init__()
        if not teacher_dims:
            raise FairLabError("method concatenation needs at least one teacher as parent")
        self.learner, self.head, self.embedding_dim = nn.Identity(), None, sum(teacher_dims)
