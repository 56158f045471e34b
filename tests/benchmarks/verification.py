"""`python -m tests.benchmarks.verification`: accuracy over ten folds of four lists of 6,000 pairs, as RFW has them.

Process CPU seconds for all four lists, on scores drawn anew for every round (the processor learns what it has sorted
before): insightface's rule as a pass over the pairs for each threshold (restated in the tests), the compat mode that
counts instead, and our exact accuracy. Median of the rounds; the numbers of the first two must be equal to the last digit.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fairlab.evaluation import compat_accuracy, fold_accuracy
from tests.evaluation import restated

LISTS, PAIRS, ROUNDS, SWEEPS = 4, 6000, 200, 2
FOLDS = np.repeat(np.arange(10), PAIRS // 10)
Lists = list[tuple[np.ndarray, np.ndarray]]


def drawn(seed: int) -> Lists:
    """(cosines, genuine) of each list, near 94 % accuracy."""
    random = np.random.default_rng(seed)
    genuine = np.tile(np.repeat([True, False], 300), 10)
    return [(np.clip(random.normal(0.08 + 0.4 * genuine, 0.13), -1, 1), genuine) for _ in range(LISTS)]


def timed(what: Callable[[np.ndarray, np.ndarray], Any], lists: Lists) -> tuple[float, list[Any]]:
    began = time.process_time()
    found = [what(scores, genuine) for scores, genuine in lists]
    return time.process_time() - began, found


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "insightface-2018, compat": lambda scores, genuine: compat_accuracy("insightface-2018", 2 - 2 * scores, genuine),
    "facex-zoo, compat": lambda scores, genuine: compat_accuracy("facex-zoo", scores, genuine),
    "ours, exact": lambda scores, genuine: fold_accuracy(scores, genuine, FOLDS),
}


def main() -> int:
    print(f"{LISTS} lists of {PAIRS} pairs, 10 folds; load average {os.getloadavg()[0]:.1f}")
    sweeps = []
    for number in range(SWEEPS):
        lists = drawn(number)
        spent, wanted = timed(lambda scores, genuine: restated.insightface(2 - 2 * scores, genuine), lists)
        sweeps.append(spent)
        for theirs, found in zip(wanted, timed(WAYS["insightface-2018, compat"], lists)[1], strict=True):
            for name in ("per_fold", "thresholds", "tpr", "fpr"):
                if getattr(found, name).tolist() != theirs[name].tolist():
                    raise SystemExit(f"{name} differs from the restated rule's")
    sweep = statistics.median(sweeps)
    print(f"{'insightface, swept':26} {1000 * sweep:9.2f} ms    numbers of the compat mode: equal to the last digit")
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(ROUNDS):
        for name, way in WAYS.items():
            times[name].append(timed(way, drawn(100 + number))[0])
    for name, spent in times.items():
        middle = statistics.median(spent)
        print(f"{name:26} {1000 * middle:9.2f} ms    {sweep / middle:8.0f} times as fast as the sweep")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
