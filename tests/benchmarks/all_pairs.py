"""`python -m tests.benchmarks.all_pairs [LARGEST]`: what all comparisons cost, as shares of the same run's matrix product.

512 dims, 4 groups, 10 images a person, one thread (start it with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1). CPU
seconds, the best of several, each with the peak of matrix products measured right before and after. Then the memory over
the embeddings of the largest in a process of its own, and the ratio to scikit-learn's roc_curve on materialised scores at
10,000 images.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from fairlab.evaluation.all_pairs.blocks import ArrayEngine
from fairlab.evaluation.all_pairs.counts import arrange, count_all
from fairlab.evaluation.all_pairs.intervals import redraw

DIMS, SIZES, AGAINST = 512, (5_000, 10_000, 20_000, 40_000), 10_000


def faces(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(unit vectors, groups, people) of images in no order."""
    random = np.random.default_rng(0)
    people = np.arange(count) % (count // 10)
    vectors = random.standard_normal((count, DIMS), dtype=np.float32)
    vectors += 0.5 * random.standard_normal((count // 10, DIMS), dtype=np.float32)[people]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.array(list("ABCD"), dtype=object)[people % 4], people


def peak() -> float:
    """Arithmetic operations a second of numpy's single-precision matrix product, the best of ten."""
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((2048, 2048), dtype=np.float32) for _ in range(2))
    return 2 * 2048**3 / min(timed(lambda: left @ right) for _ in range(10))


def timed(work: object) -> float:
    started = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - started


def memory(count: int, answer: multiprocessing.Queue) -> None:
    """MB of memory at its peak over what it was with the embeddings there and everything compiled."""
    small = faces(200)
    count_all(small[0], arrange(*small[1:]))
    vectors, groups, people = faces(count)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here, on Linux
    before = psutil.Process().memory_info().rss / 2**20
    count_all(vectors, arrange(groups, people))
    told = Path("/proc/self/status").read_text()
    answer.put(int(told.partition("VmHWM:")[2].split()[0]) / 1024 - before)


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    sizes = [size for size in SIZES if size <= largest]
    count_all(faces(200)[0], arrange(*faces(200)[1:]))  # compile
    known: dict[int, float] = {}
    for compiled in (True, False):
        print("compiled" if compiled else "numpy alone")
        for size in sizes if compiled else sizes[:2]:
            vectors, groups, people = faces(size)
            arranged = arrange(groups, people)
            best = peak()
            seconds = min(
                timed(lambda: count_all(vectors, arranged, ArrayEngine(vectors, arranged.order, 4, compiled)))  # noqa: B023
                for _ in range(5 if size <= 20_000 else 3)
            )
            best = max(best, peak())
            share = arranged.pairs * 2 * DIMS / seconds / best
            known.setdefault(size, seconds)
            print(
                f"  {size:6,} images, {arranged.pairs / 1e6:6.1f} M comparisons: {seconds:6.2f} s, "
                f"{1e9 * seconds / arranged.pairs:5.2f} ns each, {100 * share:3.0f} % of {best / 1e9:.0f} GFLOP/s",
                flush=True,
            )
    vectors, groups, people = faces(sizes[-2])
    arranged = arrange(groups, people)
    again = timed(lambda: redraw(vectors, arranged, np.array([0.04, 0.1, 0.14]), np.full((4, 60), 0.1), 1000, 0))
    print(f"intervals (second pass, 1,000 draws, 3 thresholds) at {sizes[-2]:,}: {again:.2f} s")
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue = context.Queue()
    process = context.Process(target=memory, args=(sizes[-1], answer))
    process.start()
    print(f"memory over the embeddings at {sizes[-1]:,}: {answer.get():.0f} MB", flush=True)
    process.join()

    from sklearn.metrics import roc_curve

    vectors, groups, people = faces(AGAINST)

    def materialised() -> None:
        upper = np.triu_indices(AGAINST, 1)
        roc_curve(people[upper[0]] == people[upper[1]], (vectors @ vectors.T)[upper])

    theirs = timed(materialised)
    print(f"roc_curve of materialised scores at {AGAINST:,}: {theirs:.1f} s, {theirs / known[AGAINST]:.0f} x ours")


if __name__ == "__main__":
    main()
