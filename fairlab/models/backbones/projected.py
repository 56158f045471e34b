"""A backbone whose embedding is mapped into a space of another length: a student in its teacher's space."""

from __future__ import annotations

from torch import Tensor, nn


class Projected(nn.Module):
    """The backbone, then one linear layer without bias: images (B, 3, H, W) -> raw embeddings (B, space_dim)."""

    def __init__(self, backbone: nn.Module, embedding_dim: int, space_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.to_space = nn.Linear(embedding_dim, space_dim, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.to_space(self.backbone(images))
        return embedding
