"""From a trained network to the stored embeddings of every image, mirrored and not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from fairlab.training.loader import Inputs, ahead

CHUNK = 256
"""Images in one forward pass: larger brings nothing on a CPU."""
PART = 64 * CHUNK
"""Images whose embeddings are kept together while more are made: seconds on a GPU, minutes on a CPU. Whole chunks, so that
the same images go through the network together, and the bits are the same, whoever makes which part."""


def computed_by(device: torch.device) -> dict[str, str]:
    """What may change the last bits of an embedding beside weights and images."""
    return {"torch": str(torch.__version__), "device": device.type}


@dataclass(frozen=True)
class View:
    """How a network looks at all its inputs: as they are, or mirrored."""

    learner: nn.Module
    inputs: Inputs
    mirrored: bool
    device: torch.device


class Sink(Protocol):
    """Where embeddings go, in order."""

    def add(self, vectors: np.ndarray, norms: np.ndarray) -> None: ...


def embed(view: View, starts: Sequence[int] | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embeddings of all inputs in order, chunk by chunk: unit vectors (B, D) float32 and their raw norms (B,).

    starts: only of the chunks that begin there, in this order. Evaluation mode, no gradient. A zero embedding stays zero with norm 0. Never more than a few chunks of images are in
    memory; those that must be decoded are while the network works.
    """
    inputs, device = view.inputs, view.device
    view.learner.eval()

    def make(start: int) -> tuple[torch.Tensor, ...]:
        positions = np.arange(start, min(start + CHUNK, len(inputs)))
        flip = np.full(len(positions), view.mirrored)
        return inputs.batch(positions, flip, device), *inputs.beside(positions, flip, device)

    with torch.inference_mode():
        for batch in ahead(make, range(0, len(inputs), CHUNK) if starts is None else starts, inputs.depth):
            raw = view.learner(*batch).float()
            norms = raw.norm(dim=1)
            yield (raw / norms.clamp_min(1e-12)[:, None]).cpu().numpy(), norms.cpu().numpy()


def extract(view: View, sink: Sink, progress: Callable[[int, int, float], None], stop: Callable[[], bool]) -> bool:
    """Embed all inputs into `sink`; False when stopped before the end."""
    started, done = time.monotonic(), 0
    for vectors, norms in embed(view):
        if stop():
            return False
        sink.add(vectors, norms)
        done += len(vectors)
        progress(done, len(view.inputs), done / max(time.monotonic() - started, 1e-9))
    return True


def extract_parts(
    view: View,
    numbers: Sequence[int],
    save: Callable[[int, np.ndarray, np.ndarray], None],
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> bool:
    """Embed the parts of PART inputs with these numbers and save(number, vectors, norms) each; False when stopped before.

    progress(inputs done in this call). Never more than a part is in memory.
    """
    spans = {number: range(number * PART, min((number + 1) * PART, len(view.inputs)), CHUNK) for number in numbers}
    starts = [start for span in spans.values() for start in span]
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    done = 0
    for start, piece in zip(starts, embed(view, starts), strict=True):
        if stop():
            return False
        pieces.append(piece)
        done += len(piece[0])
        if start == spans[start // PART][-1]:
            vectors, norms = (np.concatenate(values) for values in zip(*pieces, strict=True))
            save(start // PART, vectors, norms)
            pieces = []
        progress(done)
    return True
