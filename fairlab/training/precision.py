"""Half precision and torch.compile: faster training steps of the same network, with the same names of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.settings.study import Training

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(settings: Training, device: torch.device) -> None:
    """Raise FairLabError, in one sentence, where half precision would be slower or is not to be had."""
    if settings.precision == "full":
        return
    if device.type != "cuda":
        raise FairLabError(
            f"training.precision {settings.precision!r} is for a GPU: on a CPU such a step takes longer than in full "
            "precision (measured 1.5 to 2.3 times as long in bf16); leave it at 'full' here"
        )
    if settings.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise FairLabError("this GPU does not compute in bf16; use training.precision 'fp16', or 'full'")


def scaler(settings: Training) -> torch.amp.GradScaler | None:
    """Scales the loss so that small fp16 gradients are not lost; only for fp16. Its state belongs in checkpoints."""
    return torch.amp.GradScaler("cuda") if settings.precision == "fp16" else None


@contextmanager
def training_forward(
    learner: nn.Module, settings: Training, device: torch.device, backend: str = "inductor"
) -> Iterator[None]:
    """Inside, `learner` computes its *training* passes as the settings say; in evaluation, and afterwards, plainly.

    Only the network: embeddings come out in full precision, and classifier and losses stay there (as in insightface's
    arcface_torch). The module stays the same object, so no key of its state dict changes.
    """
    if settings.precision == "full" and not settings.compile:
        yield
        return
    plain = learner.forward
    # never marked dynamic: a batch has the same size in every step
    quick: Any = torch.compile(plain, dynamic=False, backend=backend) if settings.compile else plain

    def forward(inputs: Tensor) -> Tensor:
        if not learner.training:
            result: Tensor = plain(inputs)
            return result
        if settings.precision == "full":
            result = quick(inputs)
            return result
        with torch.autocast(device.type, TYPES[settings.precision]):
            result = quick(inputs)
        return result.float()

    learner.forward = forward
    try:
        yield
    finally:
        del learner.forward  # the class's own again
