"""From a trained network to the stored embeddings of every image, mirrored and not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import nn

from fairlab.training.loader import Inputs, ahead

CHUNK = 256
"""Images in one forward pass: larger brings nothing on a CPU."""


class Sink(Protocol):
    """Where embeddings go, in order."""

    def add(self, vectors: np.ndarray, norms: np.ndarray) -> None: ...


def embed(
    learner: nn.Module, inputs: Inputs, mirrored: bool, device: torch.device
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embeddings of all inputs in order, chunk by chunk: unit vectors (B, D) float32 and their raw norms (B,).

    Evaluation mode, no gradient. A zero embedding stays zero with norm 0. Never more than a few chunks of images are in
    memory; those that must be decoded are while the network works.
    """
    learner.eval()

    def make(start: int) -> torch.Tensor:
        positions = np.arange(start, min(start + CHUNK, len(inputs)))
        return inputs.batch(positions, np.full(len(positions), mirrored), device)

    with torch.inference_mode():
        for batch in ahead(make, range(0, len(inputs), CHUNK), inputs.depth):
            raw = learner(batch).float()
            norms = raw.norm(dim=1)
            yield (raw / norms.clamp_min(1e-12)[:, None]).cpu().numpy(), norms.cpu().numpy()


def extract(
    learner: nn.Module,
    inputs: Inputs,
    mirrored: bool,
    device: torch.device,
    sink: Sink,
    progress: Callable[[int, int, float], None],
    stop: Callable[[], bool],
) -> bool:
    """Embed all inputs into `sink`; False when stopped before the end."""
    started, done = time.monotonic(), 0
    for vectors, norms in embed(learner, inputs, mirrored, device):
        if stop():
            return False
        sink.add(vectors, norms)
        done += len(vectors)
        progress(done, len(inputs), done / max(time.monotonic() - started, 1e-9))
    return True
