"""Squeeze-and-excitation, the attention over channels of the SE variants (arXiv 1709.01507, 3)."""

from __future__ import annotations

from torch import Tensor, nn

REDUCTION = 16
"""Channels per hidden channel: the paper's r, and that of the published face networks."""


class SqueezeExcitation(nn.Module):
    """x * sigmoid(fc2(relu(fc1(mean over positions)))): (B, C, H, W) -> (B, C, H, W), without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // REDUCTION, 1, bias=False)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // REDUCTION, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.sigmoid(self.fc2(self.relu(self.fc1(self.avg_pool(x)))))
        return x * gate
