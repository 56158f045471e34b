"""Patches of a face read by an echo state network: only tokens and read-out learn.

After PatchEchoClassifier (Kagiyama and Okita, arXiv 2505.22985), which classifies signals of sensors; its code and sizes
were not to be had, so this network for images is FairLab's. The echo state network is the standard one (Jaeger 2001,
Lukosevicius 2012): x[t] = (1 - a) x[t-1] + a tanh(W_in u[t] + W x[t-1] + b), x[0] = 0, with W_in, W and b drawn once.

Class and distillation token stand at the end of the sequence, because a causal reservoir has seen nothing at its beginning.
The paper's two heads for them are left out: a method of distillation acts on the one embedding.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.settings.backbone import PatchEchoSettings

LAST_TOKENS = 2
"""Class and distillation token (DeiT, arXiv 2012.12877)."""
SMALLEST_RADIUS = 1e-12
"""Weights whose largest eigenvalue is below this cannot be scaled to another one."""


class Reservoir(nn.Module):
    """Tokens (B, T, d) to the states (B, T, N) of N leaky units after each; its weights are fixed.

    Linear layers, so that checkpoints, the count of arithmetic, ONNX and the running mean take them as they are; without a
    gradient, so that no optimiser does. Gradients pass through them to the tokens.
    """

    def __init__(self, settings: PatchEchoSettings) -> None:
        super().__init__()
        self.leak = settings.leak
        self.input = nn.Linear(settings.token_dim, settings.units)
        self.recurrent = nn.Linear(settings.units, settings.units, bias=False)
        self.requires_grad_(False)
        if not self.recurrent.weight.is_meta:  # of which only shapes are asked
            for weight, values in zip(
                (self.input.weight, self.input.bias, self.recurrent.weight), drawn(settings), strict=True
            ):
                weight.copy_(values)

    def forward(self, tokens: Tensor) -> Tensor:
        driven, states = self.input(tokens), []
        state = self.recurrent.weight.new_zeros(tokens.shape[0], self.recurrent.out_features)
        for step in range(tokens.shape[1]):
            news = torch.tanh(driven[:, step] + self.recurrent(state))
            state = (1 - self.leak) * state + self.leak * news
            states.append(state)
        return torch.stack(states, 1)


def drawn(settings: PatchEchoSettings) -> tuple[Tensor, Tensor, Tensor]:
    """W_in (N, d), b (N,) and W (N, N), float32, by the reservoir's seed alone: not the run's, on whatever device.

    W_in and b are normal with spread input_scaling / sqrt(d), b as the weights of one more input that is always 1; W is
    normal, zero but for a share `density`, scaled to the spectral radius. Raises FairLabError where it cannot be.
    """
    facts = (settings.token_dim, settings.units, settings.input_scaling, settings.density, settings.reservoir_seed)
    return _drawn(*facts, settings.spectral_radius)


@lru_cache(maxsize=4)  # the eigenvalues of 1024 units take seconds, and a process builds a network several times
@torch.no_grad()
def _drawn(
    token_dim: int, units: int, input_scaling: float, density: float, seed: int, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    dice = torch.Generator("cpu").manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, device="cpu", generator=dice)

    inputs = normal(units, token_dim + 1) * (input_scaling / token_dim**0.5)
    weights = normal(units, units)
    left_out = torch.randperm(units * units, device="cpu", generator=dice)[round(density * units * units) :]
    weights.view(-1)[left_out] = 0.0
    return inputs[:, :-1].float(), inputs[:, -1].float(), with_radius(weights, radius).float()


def with_radius(weights: Tensor, radius: float) -> Tensor:
    """Recurrent weights (N, N), double, scaled so that their largest absolute eigenvalue is `radius`.

    Raises FairLabError for weights without a circle, whose eigenvalues are all zero.
    """
    if radius == 0:
        return torch.zeros_like(weights)
    largest = float(torch.linalg.eigvals(weights).abs().max())
    if largest < SMALLEST_RADIUS:
        raise FairLabError(
            f"no unit of this reservoir reaches itself again, so it has no spectral radius: raise backbone.density or "
            f"backbone.units (now {len(weights)}), or set backbone.spectral_radius to 0"
        )
    return weights * (radius / largest)


class PatchEcho(nn.Module):
    """(B, 3, P, P) in -1..1 -> raw embedding (B, D): tokens in reading order, reservoir, then a linear read-out of the mean
    of all states and the last one."""

    def __init__(self, settings: PatchEchoSettings, image_px: int) -> None:
        super().__init__()
        patch, width = settings.patch_px, settings.token_dim
        if image_px < patch or image_px % patch:
            raise FairLabError(
                f"patch_echo cuts an image into patches of {patch} px, and {image_px} px is not a multiple of that: set "
                "backbone.patch_px to a divisor of the image's size"
            )
        self.tokens = nn.Conv2d(3, width, patch, patch)
        self.places = nn.Parameter(torch.empty(1, (image_px // patch) ** 2, width))
        self.last_tokens = nn.Parameter(torch.empty(1, LAST_TOKENS, width))
        self.reservoir = Reservoir(settings)
        self.norm = nn.BatchNorm1d(2 * settings.units)
        self.fc = nn.Linear(2 * settings.units, settings.embedding_dim)
        for vectors in (self.places, self.last_tokens):
            nn.init.trunc_normal_(vectors, std=0.02)
        if not settings.learn_tokens:
            self.tokens.requires_grad_(False)
            self.places.requires_grad_(False)
            self.last_tokens.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.tokens(images).flatten(2).transpose(1, 2) + self.places
        sequence = torch.cat([patches, self.last_tokens.expand(images.shape[0], -1, -1)], dim=1)
        states = self.reservoir(sequence)
        embedding: Tensor = self.fc(self.norm(torch.cat([states.mean(1), states[:, -1]], dim=1)))
        return embedding


@BACKBONES.register(
    "patch_echo",
    parameters=2_342_913,
    frozen=1_180_672,
    title="PatchEcho (reservoir)",
    no_files=True,
    source="FairLab, after PatchEchoClassifier (arXiv 2505.22985)",
)
def build_patch_echo(settings: PatchEchoSettings, image_px: int) -> nn.Module:
    return PatchEcho(settings, image_px)
