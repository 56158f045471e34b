"""What a student imitates: stored embeddings of its parent, or the parent itself at work in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.preprocessing import HALF, Preprocessing
from fairlab.store.embeddings import Embeddings

SMALLEST = 1e-12
ViewRule = Literal["plain", "matching", "mean"]


class Targets(Protocol):
    """From samples to unit targets (B, D) and the lengths (B,) that they had; of several parents (B, n, D) and (B, n)."""

    def batch(self, positions: np.ndarray, flip: np.ndarray, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """positions (B,) of the samples, flip (B,) which are mirrored, inputs: what the student is about to see."""
        ...


class StoredTargets:
    """Read from a store: `plain` and, for a rule that needs them, `flipped` embeddings of the images `rows` (N,).

    rule: plain, the target of the image as it is, mirrored or not; matching, that of the view which the student sees;
    mean, for both the mean of the two raw embeddings, which is what the image is judged by in the end.
    """

    def __init__(
        self, plain: Embeddings, flipped: Embeddings | None, rows: np.ndarray, rule: ViewRule = "plain"
    ) -> None:
        self.plain, self.rule = (plain, plain.rows_of(rows)), rule
        self.flipped = None if flipped is None else (flipped, flipped.rows_of(rows))
        if rule != "plain" and self.flipped is None:
            raise ValueError(f"the rule {rule} needs the embeddings of the mirrored images")

    def batch(self, positions: np.ndarray, flip: np.ndarray, inputs: Tensor) -> tuple[Tensor, Tensor]:
        units, lengths = _read(self.plain, positions)
        if self.flipped is not None and self.rule == "matching" and flip.any():
            units[flip], lengths[flip] = _read(self.flipped, positions[flip])
        elif self.flipped is not None and self.rule == "mean":
            mirrored, others = _read(self.flipped, positions)
            both = (units * lengths[:, None] + mirrored * others[:, None]) / 2
            lengths = np.linalg.norm(both, axis=1)
            units = both / np.maximum(lengths, SMALLEST)[:, None]
        return tuple(torch.from_numpy(part).to(inputs.device) for part in (units, lengths))  # type: ignore[return-value]


class SeveralTargets:
    """The targets of several parents, each by its own view rule, side by side: (B, n, D) and their lengths (B, n)."""

    def __init__(self, parts: Sequence[Targets]) -> None:
        self.parts = parts

    def batch(self, positions: np.ndarray, flip: np.ndarray, inputs: Tensor) -> tuple[Tensor, Tensor]:
        units, lengths = zip(*(part.batch(positions, flip, inputs) for part in self.parts), strict=True)
        return torch.stack(units, dim=1), torch.stack(lengths, dim=1)


def _read(source: tuple[Embeddings, np.ndarray], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    store, rows = source
    chosen = rows[positions]
    return np.asarray(store.vectors[chosen], dtype=np.float32), np.asarray(store.norms[chosen], dtype=np.float32)


Space = Callable[[Tensor], Tensor]
"""From images in -1..1, RGB, (B, 3, H, W), to raw embeddings (B, D)."""


class OnlineTargets:
    """Computed in each step from the very batch of images in -1..1; no gradient, no chance, so resumable to the bit.

    dim: the length of its embeddings, found by trying it on an image of image_px.
    """

    def __init__(self, space: Space, image_px: int, device: torch.device) -> None:
        self.space = space
        blank = torch.zeros(1, 3, image_px, image_px, device=device)
        self.dim = int(self.batch(np.zeros(1, np.int64), np.zeros(1, bool), blank)[0].shape[1])

    @torch.no_grad()
    def batch(self, positions: np.ndarray, flip: np.ndarray, inputs: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.space(inputs).float()
        lengths = raw.norm(dim=1)
        return raw / lengths.clamp_min(SMALLEST)[:, None], lengths


class ImageSpace:
    """A frozen network with its own preprocessing, on images prepared for ours (RGB in -1..1)."""

    def __init__(self, network: nn.Module, about: Preprocessing, device: torch.device) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.about = about

    def __call__(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.network(self.prepared(images))
        return embeddings

    def prepared(self, images: Tensor) -> Tensor:
        """The same images as this network takes them: its size, order of channels, mean and std."""
        about, images = self.about, images.float()
        if images.shape[-1] != about.image_px:
            size = (about.image_px, about.image_px)
            images = functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        if about.channels == "BGR":
            images = images.flip(1)
        if about.mean == about.std == HALF:  # the numbers as they come: not a rounding different from the stored ones
            return images
        mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (about.mean, about.std))
        return (images * HALF[0] + HALF[0] - mean) / std


class FusedSpace:
    """A frozen network over the unit embeddings of its parents' spaces side by side, in their recorded order.

    raw: over the embeddings as the parents give them, of any length.
    """

    def __init__(
        self, network: nn.Module, parents: Sequence[Space], device: torch.device, *, raw: bool = False
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.parents, self.raw = parents, raw

    def __call__(self, images: Tensor) -> Tensor:
        parts = [parent(images).float() for parent in self.parents]
        parts = parts if self.raw else [functional.normalize(part) for part in parts]
        embeddings: Tensor = self.network(torch.cat(parts, dim=1))
        return embeddings


CHUNK, ENOUGH = 4096, 2000
"""Images read at once, and images that are enough to see whether a classifier knows them."""


def centroids(store: Embeddings, rows: np.ndarray, labels: np.ndarray, classes: int) -> Tensor:
    """The mean direction of the stored embeddings of each identity: images `rows` (N,), `labels` (N,) -> (C, D), unit."""
    return functional.normalize(identity_means(store, rows, labels, classes)).float()


def identity_means(store: Embeddings, rows: np.ndarray, labels: np.ndarray, classes: int, raw: bool = False) -> Tensor:
    """The mean of each identity's stored unit embeddings, or of the raw ones: `rows`, `labels` (N,) -> (C, D), double."""
    where, sums = store.rows_of(rows), np.zeros((classes, store.vectors.shape[1]))
    for start in range(0, len(where), CHUNK):
        part = slice(start, start + CHUNK)
        chosen = where[part]
        lengths = np.asarray(store.norms[chosen], np.float64)[:, None] if raw else 1.0
        np.add.at(sums, labels[part], store.vectors[chosen] * lengths)
    counts = np.bincount(labels, minlength=classes)[:, None]
    return torch.from_numpy(sums / np.maximum(counts, 1))


def some_of_each(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Positions of at most `most` images of each identity `labels` (N,), drawn with the seed, in rising order."""
    drawn = np.random.default_rng(seed).permutation(len(labels))
    together = drawn[np.argsort(labels[drawn], kind="stable")]
    of = labels[together]
    place = np.arange(len(of)) - np.searchsorted(of, of)
    return np.sort(together[place < most])


def acquainted(centres: Tensor, store: Embeddings, rows: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """(mean cosine of stored embeddings with the centre of their own identity, what it must exceed to be theirs).

    The latter is their mean cosine with all centres and three standard errors over people: a classifier whose rows are in
    another order is above the mean alone in half of all cases.
    """
    some = np.linspace(0, len(rows) - 1, min(len(rows), ENOUGH)).astype(np.int64)
    vectors = torch.from_numpy(np.asarray(store.vectors[store.rows_of(rows[some])]))
    units = functional.normalize(centres.float())
    own = (vectors * units[torch.from_numpy(labels[some])]).sum(1)
    others = vectors @ units.mean(0)
    _, person = np.unique(labels[some], return_inverse=True)
    of_person = np.bincount(person, (own - others).numpy()) / np.bincount(person)
    error = float(of_person.std(ddof=1) / np.sqrt(len(of_person))) if len(of_person) > 1 else 0.0
    return float(own.mean()), float(others.mean()) + 3 * error
