"""`python -m tests.benchmarks.identification [PROBES] [ENROLLED]`: a search of 1:N against the plain matrix product.

20,000 probes and 5,000 enrolled people of 512 numbers unless said otherwise, a fifth of the probes of strangers. Wall
seconds of the product in single precision alone, into a block of scores that is never looked at (this machine's peak for it), and
of `search`, which also finds every rank and every best stranger, exactly; in turns, the best of each. Then the whole
report with 1,000 draws of people, and the memory beside the vectors.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd

from fairlab.evaluation.identification.enrolment import GallerySplit
from fairlab.evaluation.identification.rates import identify
from fairlab.evaluation.identification.search import PROBES, search

DIMS, ROUNDS = 512, 5


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def people(probes: int, enrolled: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """(vectors, identities): a row per enrolled person, then the probes, every fifth of somebody else."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(2 * enrolled, DIMS))
    who = random.integers(0, enrolled, probes) + enrolled * (np.arange(probes) % 5 == 0)
    identities = np.concatenate([np.arange(enrolled), who])
    return unit(centres[identities] + spread * random.normal(size=(len(identities), DIMS))), identities


def fastest(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    return {name: min(spent) for name, spent in times.items()}


def product(probes: np.ndarray, gallery: np.ndarray) -> None:
    scores = np.empty((PROBES, len(gallery)), dtype=np.float32)
    for start in range(0, len(probes), PROBES):
        some = probes[start : start + PROBES]
        np.matmul(some, gallery.T, out=scores[: len(some)])


def main() -> int:
    probes, enrolled = (int(text) for text in (*sys.argv[1:], *("20000", "5000")[len(sys.argv) - 1 :]))
    print(f"{probes} probes, {enrolled} enrolled, {DIMS} numbers; load average {os.getloadavg()[0]:.1f}")
    rows = np.arange(enrolled + probes)
    for title, spread in (("a good model", 1.0), ("a poor model", 6.0)):
        vectors, identities = people(probes, enrolled, spread)
        parts = (rows[:enrolled], identities[:enrolled], rows[enrolled:], identities[enrolled:])
        tracemalloc.start()
        found = search(vectors, *parts)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        ways: dict[str, Callable[[], object]] = {
            "product": lambda v=vectors: product(v[enrolled:], v[:enrolled]),
            "search": lambda v=vectors, p=parts: search(v, *p),
        }
        times = fastest(ways)
        flops = 2e-9 * probes * enrolled * DIMS
        print(
            f"{title}, {np.mean(found.rank[found.rank > 0] == 1):.1%} at rank 1: product {times['product']:.2f} s "
            f"({flops / times['product']:.0f} GFLOP/s), search {times['search']:.2f} s: "
            f"{times['product'] / times['search']:.0%} of the peak; {peak:.0f} MB beside the vectors"
        )
        images = pd.DataFrame(
            {"image_id": rows, "identity": identities.astype(str), "group": np.array(list("ABCD"))[identities % 4]}
        )
        began = time.perf_counter()
        identify("run", "identification", images, vectors, rows, GallerySplit(rows[:enrolled], rows[enrolled:]))
        print(f"    report with 1,000 draws: {time.perf_counter() - began:.2f} s, search included")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
