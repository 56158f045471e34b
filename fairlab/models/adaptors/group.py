"""The adaptors that know an image's group: variants in the official code of MST-KD (arXiv 2408.16563).

They see the embedding of the own group's teacher only. Their inputs are the teachers' unit embeddings side by side and
one more, last column: the number of that teacher, 0..n-1 in the recorded order. So they need the group of every image,
also of those that are embedded later.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.base import ADAPTORS
from fairlab.settings.study import Adaptor


def one_length(what: str, input_dims: tuple[int, ...]) -> int:
    """The length that all teachers' embeddings have. Raises FairLabError when they differ."""
    if len(set(input_dims)) != 1:
        raise FairLabError(
            f"{what} needs teachers whose embeddings are equally long; these have {', '.join(map(str, input_dims))} dims"
        )
    return input_dims[0]


def own_embedding(inputs: Tensor, dim: int) -> Tensor:
    """Of inputs (B, n * dim + 1) the block that the last column names, (B, dim)."""
    blocks = inputs[:, :-1].unflatten(1, (-1, dim))
    return blocks[torch.arange(len(inputs), device=inputs.device), inputs[:, -1].long()]


class Positioning(nn.Module):
    """One linear layer over all blocks, those of the other groups' teachers being zero.

    So a linear map for each group, with a common bias; as many parameters as SL.
    """

    starts: Tensor
    ends: Tensor

    def __init__(self, settings: Adaptor, input_dims: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(sum(input_dims), settings.embedding_dim)
        ends = torch.tensor(input_dims).cumsum(0)
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("starts", ends - torch.tensor(input_dims), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, sum of dims + 1) -> (B, D)."""
        embeddings, own = inputs[:, :-1], inputs[:, -1].long()
        places = torch.arange(embeddings.shape[1], device=inputs.device)
        mine = (places >= self.starts[own, None]) & (places < self.ends[own, None])
        return self.linear(embeddings * mine)


class Encoding(nn.Module):
    """One linear layer over [number of the own teacher, its embedding].

    The number enters as it is, 0..n-1, as in the official code: all it can do is to move the common space along one
    direction, the further the later the teacher stands in the order.
    """

    def __init__(self, settings: Adaptor, input_dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = one_length("adaptor encoding", input_dims)
        self.linear = nn.Linear(1 + self.dim, settings.embedding_dim)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, n * dim + 1) -> (B, D)."""
        return self.linear(torch.cat([inputs[:, -1:], own_embedding(inputs, self.dim)], dim=1))


@ADAPTORS.register(
    "positioning", title="Positioning: own teacher in its slot", source="arXiv 2408.16563, code only", needs_group=True
)
def build_positioning(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """With 4 teachers of 512 dims and 512 out: 1,049,088 parameters, as SL."""
    return Positioning(settings, input_dims)


@ADAPTORS.register(
    "encoding", title="Encoding: own teacher and its number", source="arXiv 2408.16563, code only", needs_group=True
)
def build_encoding(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """With teachers of 512 dims and 512 out: 513 * 512 + 512 = 263,168 parameters, however many teachers."""
    return Encoding(settings, input_dims)
