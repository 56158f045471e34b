"""`python -m tests.benchmarks.pairs`: what a batch with pairs costs beside a batch without.

CPU seconds of drawing one step of 32 general images + 8 identities x 4 images from 1,248,932 images of 27,997 identities
(BUPT-BalancedFace's size), against those of the smallest step there is: the demo's network on 64 images of 48 px, a plain
student's forward and backward pass. And once for each run: sorting the images by identity. Wanted: <= 1.01x.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from fairlab.methods.base import METHODS, Batch
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.training.loader import order
from fairlab.training.optim import optimisers
from fairlab.training.sampler import Sampler
from fairlab.training.step import Updates

IMAGES, IDENTITIES, CLASSES, PX, STEPS, ROUNDS = 1_248_932, 27_997, 600, 48, 2000, 9


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` after one that warms up."""
    times = []
    for _ in range(rounds + 1):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times[1:])


def a_step(settings: Training) -> Callable[[], object]:
    """A step of the demo's student on random images."""
    size = settings.batch_size
    run = Run(
        role="student",
        method="classifier",
        data=Data(),
        backbone=Backbone(name="tiny", embedding_dim=64),
        loss=loss_settings(),
        training=settings,
    )
    torch.manual_seed(0)
    method = METHODS["classifier"](run, classes=CLASSES, image_px=PX).train()
    method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    updates = Updates(method, optimisers(method.learner, method.head, settings), settings)
    images = torch.randn(size, 3, PX, PX).contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.arange(size) % CLASSES)
    return lambda: updates.update([batch], 0.01)


def main() -> int:
    torch.set_num_threads(1)
    settings = Training(batch_size=64, pair_identities=8, pair_images=4)
    identities = np.random.default_rng(0).integers(0, IDENTITIES, IMAGES)
    sequence = order(0, 0, IMAGES)
    began = time.process_time()
    sampler = Sampler(settings, 0, identities)
    sorting = time.process_time() - began
    plain = Sampler(Training(batch_size=64), 0, identities)

    def draw(made: Sampler) -> float:
        return cpu_seconds(lambda: [made.parts(sequence, 0, number) for number in range(STEPS)], 5) / STEPS

    cost = draw(sampler) - draw(plain)
    step = cpu_seconds(a_step(settings), ROUNDS)
    print(
        f"drawing 8 x 4 of {IMAGES:,} images: {1e6 * cost:.0f} us a step more than without; the demo's step of 64 images: "
        f"{1e3 * step:.1f} ms; {1 + cost / step:.4f}x (wanted: 1.01x). Sorting, once: {sorting:.2f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
