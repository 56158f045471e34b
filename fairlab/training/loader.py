"""From stored rows to batches; every draw is a function of (seed, epoch, row), so a resumed run sees the same.

A DataLoader iterator would draw from torch's global state at each start, which changes a resumed run; pixels lie ready
in one memory-mapped file or are decoded by threads, so no worker processes are needed. Measured by
tests.benchmarks.reading.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from fairlab.data.points import mirrored
from fairlab.data.views import Pixels
from fairlab.models.preprocessing import HALF, Preprocessing

T = TypeVar("T")
CPU = torch.device("cpu")
_ORDER, _FLIP, _STEP, AUGMENT, PAIRS = 1, 2, 3, 4, 5  # separate streams of random numbers


def stream(seed: int, kind: int, number: int) -> np.random.Generator:
    """Random numbers that depend on nothing but (seed, kind, number)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, kind, number])))


def order(seed: int, epoch: int, count: int, classes: np.ndarray | None = None) -> np.ndarray:
    """The order of `count` training samples in pass `epoch`: a permutation (count,) of positions.

    With `classes` (count,), numbers of any kind, each class comes equally often instead: count / classes times, the
    remainder shared out by chance, and in a class each sample equally often in the same sense.
    """
    draws = stream(seed, _ORDER, epoch)
    sequence = draws.permutation(count)
    if classes is None:
        return sequence
    _, members, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    wanted = _shares(np.array([count]), np.array([len(sizes)]), draws.permutation(len(sizes)))
    sequence = sequence[np.argsort(members[sequence], kind="stable")]  # class by class, in a random order each
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    times = _shares(np.repeat(wanted, sizes), np.repeat(sizes, sizes), rank)
    return draws.permutation(np.repeat(sequence, times))


def _shares(whole: np.ndarray, parts: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """What part number `rank` gets of `whole` pieces: an equal share, and one more for the first ranks."""
    return whole // parts + (rank < whole % parts)


def flips(seed: int, epoch: int, count: int) -> np.ndarray:
    """Which samples are mirrored in pass `epoch`: (count,) bool, each with probability one half."""
    return stream(seed, _FLIP, epoch).random(count) < 0.5


def step_seed(seed: int, step: int) -> int:
    """Seed of torch's own draws (margins, dropout) in overall step `step`, in 0..2^63."""
    return int(stream(seed, _STEP, step).integers(0, 2**63 - 1))


def ahead(make: Callable[[int], T], numbers: Iterable[int], depth: int) -> Iterator[T]:
    """make(number) for all `numbers` in order, up to `depth` of them made beforehand, two at a time.

    For images that must be decoded: the network works while the next batches are read, and while the last images of a
    batch are decoded the first of the next are. What is made does not depend on when, so a run stays the same to the
    bit.
    """
    if depth < 1:
        yield from map(make, numbers)
        return
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(2)
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # stopped in the middle, or a disk that does not answer: nobody waits for what is not needed any more
        pool.shutdown(wait=False, cancel_futures=True)


class Inputs(Protocol):
    """Where a network's inputs come from; `rows` (N,) are the image ids of the samples."""

    rows: np.ndarray
    depth: int
    """Batches to make ahead; 0 where they lie ready."""

    def __len__(self) -> int: ...

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> Tensor:
        """Inputs of the samples at `positions` (B,), on `device`; `flip` (B,) says which to mirror."""
        ...

    def beside(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> tuple[Tensor, ...]:
        """What a network takes beside `batch`, for the same samples; nothing for most."""
        ...


class ImageInputs:
    """Images as a network takes them, (B, 3, H, W) in channels-last memory.

    As the papers feed them: RGB, (x/255 - 0.5)/0.5, so -1..1; or as the record of an imported model says. points (N, 5, 2)
    of all the pixels' images (data.points): of a network that takes landmarks too.
    """

    def __init__(
        self,
        pixels: Pixels,
        rows: np.ndarray,
        preprocessing: Preprocessing | None = None,
        points: np.ndarray | None = None,
    ) -> None:
        self.pixels, self.rows, self.preprocessing = pixels, rows, preprocessing or Preprocessing()
        self.points = points
        self.depth = 0 if isinstance(pixels, np.ndarray) else 2
        self.change: Callable[[np.ndarray, np.ndarray], None] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def changed(self, change: Callable[[np.ndarray, np.ndarray], None]) -> ImageInputs:
        """The same images, each batch put through change(images (B, H, W, 3) uint8 RGB, positions (B,)) in place."""
        other = copy.copy(self)
        other.change, other.depth = change, max(self.depth, 2)
        return other

    def stored(self, positions: np.ndarray, flip: np.ndarray) -> Tensor:
        """(B, H, W, 3) uint8, mirrored left to right where `flip` says so: what travels to the device."""
        images = np.ascontiguousarray(self.pixels[self.rows[positions]])
        if flip.any():  # measured: torch mirrors and numpy puts back in an eighth of the time of either alone
            images[flip] = torch.from_numpy(images[flip]).flip(2).numpy()
        if self.change is not None:
            self.change(images, positions)
        return torch.from_numpy(images)

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> Tensor:
        images = self.stored(positions, flip).to(device, non_blocking=True)  # floats would be four times the bytes
        about = self.preprocessing
        if about.channels == "BGR":
            images = images.flip(3)
        images = images.permute(0, 3, 1, 2).to(torch.float32)
        if about.mean == about.std == HALF:
            half = torch.tensor(127.5, device=device)  # a plain number would be a product with 1/127.5 on a GPU
            return images.div_(half).sub_(1.0)
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (about.mean, about.std))
        return images.sub_(mean).div_(std)

    def beside(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> tuple[Tensor, ...]:
        if self.points is None:
            return ()
        points = np.array(self.points[self.rows[positions]], np.float32)
        points[flip] = mirrored(points[flip])
        return (torch.from_numpy(points).to(device),)


class Rows(Protocol):
    """Vectors that are read by row, as an (N, D) array is."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


class OfTheirLength:
    """Stored unit vectors (N, D) and their raw norms (N,), read as the vectors that the network gave."""

    def __init__(self, vectors: np.ndarray, norms: np.ndarray) -> None:
        self.vectors, self.norms = vectors, norms

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        raw: np.ndarray = self.vectors[rows] * self.norms[rows, None]
        return raw


class EmbeddingInputs:
    """Teachers' unit embeddings side by side, (B, sum of dims), in the recorded order of the teachers.

    `plain` and `flipped` hold one (N, D) array per teacher; rows of the data set, as image ids. Without mirroring
    (the papers train the adaptor so) `flipped` may be empty. `own` (N,): of each image the number of its own group's
    teacher, which then is one more, last column.
    """

    def __init__(
        self,
        plain: Sequence[Rows],
        flipped: Sequence[Rows],
        rows: np.ndarray,
        own: np.ndarray | None = None,
    ) -> None:
        self.plain, self.flipped, self.rows, self.own, self.depth = plain, flipped, rows, own, 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> Tensor:
        rows = self.rows[positions]
        parts = [np.asarray(teacher[rows], dtype=np.float32) for teacher in self.plain]
        if flip.any():
            for part, teacher in zip(parts, self.flipped, strict=True):
                part[flip] = teacher[rows[flip]]
        if self.own is not None:
            parts.append(self.own[rows, None].astype(np.float32))
        return torch.from_numpy(np.concatenate(parts, axis=1)).to(device, non_blocking=True)

    def beside(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> tuple[Tensor, ...]:
        return ()
