"""`python -m tests.benchmarks.student_step [BACKBONE IMAGE_PX BATCH [IDENTITIES [ROUNDS]]]`: what distillation adds to a step.

CPU seconds of a whole step (reading the batch, forward, backward, all optimisers) of the plain student, of EAF-KD from
stored targets, of EAF-KD with the target as the mean of both views, of EAF-KD with four teachers and their adaptor
at work in every step, and of MST-Distill from the stored targets of four teachers, while it routes; median over rounds in
which they take turns, one thread, and the ratios to the plain student.
Default: the demo's network (tiny, 48 px, batch 128, 128 dims) over 600 identities. Wanted: EAF-KD stored <= 1.10x,
MST-Distill <= 1.35x at the papers' sizes (iresnet34 112 128 27997).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fairlab.methods.base import METHODS
from fairlab.models.base import ADAPTORS, BACKBONES
from fairlab.models.preprocessing import Preprocessing
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor, Backbone, Data, Run, Training
from fairlab.store.embeddings import EmbeddingWriter, open_embeddings
from fairlab.training.loader import ImageInputs
from fairlab.training.loop import Samples
from fairlab.training.optim import build, optimisers
from fairlab.training.step import Updates
from fairlab.training.targets import FusedSpace, ImageSpace, OnlineTargets, SeveralTargets, StoredTargets, Targets

IMAGES, CLASSES, TEACHERS, WARM_UP, ROUNDS = 6000, 600, 4, 3, 25
CPU = torch.device("cpu")


def a_step(method: str, backbone: Backbone, px: int, batch: int, samples: Samples) -> Callable[[int], float]:
    """A function that does step number n and returns its CPU seconds."""
    run = Run(
        role="student",
        method=method,
        data=Data(),
        backbone=backbone,
        loss=loss_settings(),
        training=Training(batch_size=batch),
    )
    torch.manual_seed(0)
    dim, classes = backbone.embedding_dim, int(samples.identities.max()) + 1
    several = getattr(METHODS[method], "needs_centroids", False)
    given = {"centroids": torch.randn(TEACHERS, classes, dim)} if several else {}
    dims = (dim,) * TEACHERS if several else ()
    student = METHODS[method](run, classes=classes, image_px=px, teacher_dims=dims, **given).train()
    student.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = Training(batch_size=batch)
    solvers = optimisers(student.learner, student.head, settings)
    if several:
        solvers["method"] = build(list(student.get_submodule("gate").parameters()), settings)

    updates = Updates(student, solvers, settings)

    def step(number: int) -> float:
        draw = np.random.default_rng(number)
        positions, flip = draw.permutation(IMAGES)[:batch], draw.random(batch) < 0.5
        began = time.process_time()
        updates.update([samples.batch(positions, flip, CPU)], 0.01)
        return time.process_time() - began

    return step


def a_store(folder: Path, dim: int, view: str, seed: int = 0) -> None:
    vectors = np.random.default_rng([len(view), seed]).normal(size=(IMAGES, dim)).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    with EmbeddingWriter(folder, "demo", view, np.arange(IMAGES), {}) as sink:
        sink.add(vectors / norms[:, None], norms)


def main() -> int:
    name, px, batch = sys.argv[1:4] if len(sys.argv) > 3 else ("tiny", 48, 128)
    classes, rounds = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((4, CLASSES), (5, ROUNDS)))
    px, batch = int(px), int(batch)
    dim = 128 if name == "tiny" else 512
    backbone = Backbone(name=str(name), embedding_dim=dim)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for view in ("plain", "flip"):
            a_store(folder, dim, view)
        for number in range(TEACHERS):
            a_store(folder / str(number), dim, "plain", number + 1)
        several = [open_embeddings(folder / str(number), "demo", "plain") for number in range(TEACHERS)]
        plain, flipped = (open_embeddings(folder, "demo", view) for view in ("plain", "flip"))
        rows = np.arange(IMAGES)
        inputs = ImageInputs(np.random.default_rng(0).integers(0, 255, (IMAGES, px, px, 3), dtype=np.uint8), rows)
        labels = rows * 7919 % classes
        labels[0] = classes - 1
        about = Preprocessing(image_px=px)
        teachers = [ImageSpace(BACKBONES[backbone.name](backbone, px), about, CPU) for _ in range(TEACHERS)]
        adaptor = ADAPTORS["sl"](Adaptor(embedding_dim=dim), (dim,) * TEACHERS)
        kinds: dict[str, tuple[str, Targets | None]] = {
            "plain student": ("classifier", None),
            "EAF-KD, stored": ("eaf_kd", StoredTargets(plain, None, rows)),
            "EAF-KD, stored, mean": ("eaf_kd", StoredTargets(plain, flipped, rows, "mean")),
            "EAF-KD, 4 online": ("eaf_kd", OnlineTargets(FusedSpace(adaptor, teachers, CPU), px, CPU)),
            "MST-Distill, 4 stored": (
                "mst_distill",
                SeveralTargets([StoredTargets(store, None, rows) for store in several]),
            ),
        }
        steps = {
            kind: a_step(method, backbone, px, batch, Samples(inputs, labels, targets))
            for kind, (method, targets) in kinds.items()
        }
        spent: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(WARM_UP + rounds):
            turn = number % len(kinds)
            for kind in list(kinds)[turn:] + list(kinds)[:turn]:  # nobody always follows the same one
                seconds = steps[kind](number)
                if number >= WARM_UP:
                    spent[kind].append(seconds)
    base = statistics.median(spent["plain student"])
    print(
        f"{backbone.name}, {px} px, batch {batch}, {dim} dims, {classes:,} identities, one thread, torch {torch.__version__}"
    )
    for kind, values in spent.items():
        ratios = [value / plain for value, plain in zip(values, spent["plain student"], strict=True)]
        middle = statistics.median(values)
        print(
            f"{kind:21} {middle:.4f} s, {middle / base:.3f}x (median of paired ratios {statistics.median(ratios):.3f}x)"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
