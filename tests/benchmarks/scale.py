"""`python -m tests.benchmarks.scale`: what data sets of millions of images would cost, from what is measured here.

Doubles small sizes, shows the power of N that fits each part (processor seconds, one thread), scales the largest up by
the part's law, and prints the README's table "Bigger
than one machine": time of a pass, bytes and seconds of everything that grows, for four public training sets on 1, 8 and 64
GPUs. No GPU is measured: their rates are ASSUMED from insightface's published ones, see V100_IMAGES_S and HEAD_STEP_S.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from fairlab.evaluation.all_pairs.counts import arrange, count_all
from fairlab.store.index import FLAT_UP_TO, index_over
from tests.benchmarks.all_pairs import faces, peak
from tests.benchmarks.training_step import batch_of, built, cpu_seconds, forward_gflop, step_of

DIMS, VIEWS, BATCH, NETWORK = 512, 2, 1024, "iresnet50"
SETS = {
    "BUPT-BalancedFace": (1_248_932, 27_997),
    "MS1MV3": (5_179_510, 93_431),
    "Glint360K": (17_091_657, 360_232),
    "WebFace42M": (42_474_558, 2_059_906),
}
"""Images and identities, as their authors give them."""
GPUS = (1, 8, 64)
V100_IMAGES_S = 5102 / 8
"""ASSUMED, of one V100, iresnet50, fp16, 8 x 128: insightface, recognition/partial_fc/pytorch/README.md (8 GPUs)."""
HEAD_STEP_S = 1024 / 2270 - 1024 / 5300
"""ASSUMED, of 8 V100 and 3 million identities, batch 1024, all classes against a tenth of them: insightface,
recognition/arcface_torch/docs/speed_benchmark.md."""
SAMPLED = 0.1
ROUNDS = 3


def timed(work: Callable[[], object]) -> float:
    """Processor seconds, the least of several."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


class Growth:
    """Costs of doubled sizes: the power of N that fits them, shown beside the law by which the largest is scaled up."""

    def __init__(self, name: str, law: int, sizes: Sequence[int], costs: Sequence[float], unit: str = "s") -> None:
        power = np.polyfit(np.log(sizes), np.log(costs), 1)[0]
        self.law, self.size, self.cost = law, sizes[-1], costs[-1]
        shown = ", ".join(f"{size:,}: {cost:.3g} {unit}" for size, cost in zip(sizes, costs, strict=True))
        print(f"{name:22} N^{law}, fitted N^{power:.2f}   ({shown})", flush=True)

    def at(self, size: float) -> float:
        return self.cost * (size / self.size) ** self.law


def measured() -> dict[str, Growth]:
    """The parts whose cost hangs on the images alone."""
    found, vectors = {}, faces(40_000)[0]
    sizes = (5_000, 10_000, 20_000)
    count_all(faces(200)[0], arrange(*faces(200)[1:]))  # compile
    data = {size: faces(size) for size in sizes}
    costs = [timed(lambda size=size: count_all(data[size][0], arrange(*data[size][1:]))) for size in sizes]  # type: ignore[misc]
    found["pairs"] = Growth("all pairs", 2, sizes, costs)
    sizes = (10_000, 20_000, 40_000)
    indexes = [index_over(np.arange(size), vectors[:size]) for size in sizes]
    queries = vectors[:256]
    found["search"] = Growth(
        "a query, exact",
        1,
        sizes,
        [timed(lambda index=index: index.search(queries, 10)) / 256 for index in indexes],  # type: ignore[misc]
    )
    chosen = np.random.default_rng(0).integers(len(vectors), size=(2, sizes[-1]))
    found["listed"] = Growth(
        "listed pairs",
        1,
        sizes,
        [
            timed(lambda size=size: np.einsum("nd,nd->n", vectors[chosen[0, :size]], vectors[chosen[1, :size]]))  # type: ignore[misc]
            for size in sizes
        ],
    )
    tables = [images(size) for size in sizes]
    found["table"] = Growth(
        "images table", 1, sizes, [float(table.memory_usage(deep=True).sum()) for table in tables], "bytes"
    )
    return found


def images(count: int) -> pd.DataFrame:
    """An images table as a reader of packed records makes it."""
    rows = np.arange(count)
    return pd.DataFrame(
        {
            "image_id": rows,
            "dataset": "faces",
            "split": "train",
            "identity": pd.Series(rows // 20).astype(str),
            "group": "all",
            "source": "real",
            "location": rows,
        }
    )


def here() -> None:
    """A training step as the loop does it, and what a pass would take."""
    method = built("mobilefacenet")
    gflop, size = 3 * forward_gflop(method), 8
    seconds = cpu_seconds(step_of(method, batch_of(size)), 2)
    whole = said(SETS["BUPT-BalancedFace"][0] * seconds / size)
    print(
        f"a training step on one core here, mobilefacenet, batch {size}: {seconds:.2f} s = "
        f"{gflop * size / seconds:.0f} GFLOP/s; a pass over BUPT-BalancedFace {whole}"
    )


def said(seconds: float) -> str:
    """A time in the unit that fits it."""
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{1000 * seconds:.3g} ms"


def table(growth: dict[str, Growth], operations: float) -> None:
    """The README's table."""
    gpu = V100_IMAGES_S * operations  # GFLOP/s
    head = 6 * 1024 * 0.9 * 3e6 * DIMS / 8 / HEAD_STEP_S / 1e9  # GFLOP/s of one GPU over all classes
    print(f"\nassumed: a GPU does {gpu:,.0f} GFLOP/s in {NETWORK}, {head:,.0f} in the head over all classes\n")
    rows: list[list[str]] = [[] for _ in range(10)]
    names = ["| what, formula |"]
    for name, (count, people) in SETS.items():
        names.append(f" {name} |")
        backbone, classes = count * operations, 6.0 * count * people * DIMS / 1e9
        for row, gpus in enumerate(GPUS):
            parts = {"network": backbone / gpu / gpus, "head": SAMPLED * classes / head / gpus}
            rows[row].append(f"{said(sum(parts.values()))} ({max(parts, key=lambda part: parts[part])})")
        rows[3].append(f"{said(backbone / gpu / 8)} + {said(classes / head / 8)}")
        rows[4].append(said(VIEWS * backbone / 3 / gpu / 8))
        rows[5].append(f"{count * DIMS * 4 * VIEWS / 1e9:.1f} GB")
        rows[6].append(f"{count * DIMS * 4 / 1e9:.1f} GB, {said(growth['search'].at(count))}")
        rows[7].append(f"{growth['table'].at(count) / 1e9:.2f} GB")
        rows[8].append(f"{count * (count - 1) / 2:.1e}, {said(growth['pairs'].at(count))}")
        rows[9].append(f"{people * DIMS * 8 / 1e9:.1f} + {2 * BATCH * people * 4 / 1e9:.1f} GB")
    what = [
        *(f"an epoch, {gpus} GPU, N (3 F / r + 6 s C D / h) / G" for gpus in GPUS),
        "an epoch, 8 GPU, all classes: network + head",
        "embedding both views, 8 GPU, 2 N F / (r G)",
        "vectors, 2 N D 4 bytes",
        "exact index, N D 4 bytes; a query (of 256), one core",
        "images table in memory",
        "all pairs N (N - 1) / 2; one core here",
        f"head C D 8 + 2 B C 4 bytes, batch {BATCH}",
    ]
    print("".join(names))
    print("|---" * len(names) + "|")
    for title, row in zip(what, rows, strict=True):
        print(f"| {title} | " + " | ".join(row) + " |")
    print(f"\nall pairs of {FLAT_UP_TO:,} images on one core: {said(growth['pairs'].at(FLAT_UP_TO))}")
    print(f"6,000 listed pairs on one core: {said(growth['listed'].at(6000))}")


def main() -> int:
    torch.set_num_threads(1)
    tops = statistics.median(peak() for _ in range(3)) / 1e9
    print(f"load {os.getloadavg()[0]:.1f}; matrix product {tops:.0f} GFLOP/s on one thread")
    operations = 3 * forward_gflop(built(NETWORK))
    table(measured(), operations)
    here()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
