"""`python -m tests.benchmarks.bootstrap`: 1,000 draws of people for every metric and the ROC bands on data of RFW's size."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation import Defaults, cut, evaluate
from fairlab.evaluation.intervals import IdentityBootstrap

GROUPS, PEOPLE, PAIRS = 4, 3000, 3000


def rfw_like(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """(images, pairs, scores): 4 groups of 3,000 people with 4 images, 3,000 genuine and 3,000 impostor pairs each."""
    random = np.random.default_rng(seed)
    names = [f"Group {number}" for number in range(GROUPS)]
    person = np.arange(GROUPS * PEOPLE).repeat(4)
    images = pd.DataFrame({"image_id": np.arange(len(person)), "identity": [f"p{at:05d}" for at in person]})
    images["group"] = np.array(names)[person // PEOPLE]
    rows = []
    for number, name in enumerate(names):
        base = number * PEOPLE
        own = base + random.permutation(PEOPLE)
        other = base + (own - base + random.integers(1, PEOPLE, PEOPLE)) % PEOPLE
        one, two = (4 * own + random.integers(0, 2, PAIRS), 4 * own + random.integers(2, 4, PAIRS))
        folds = np.arange(PAIRS) * 10 // PAIRS
        for first, second, genuine in ((one, two, True), (4 * own, 4 * other, False)):
            rows.append(
                pd.DataFrame({"image_a": first, "image_b": second, "genuine": genuine, "fold": folds, "group": name})
            )
    pairs = pd.concat(rows, ignore_index=True)
    pairs = pairs.assign(pair_id=np.arange(len(pairs)), protocol="test")
    return images, pairs, random.normal(size=len(pairs)) + 3.3 * pairs["genuine"].to_numpy()


def timed(what: str, call: Any) -> Any:
    """Do it three times; print the best wall and CPU seconds."""
    best = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        found = call()
        best.append((time.perf_counter() - wall, time.process_time() - cpu))
    print(f"{what:<34} {min(best)[0]:6.2f} s wall  {min(best)[1]:6.2f} s CPU")
    return found


def main() -> int:
    images, pairs, scores = rfw_like()
    asked = Defaults()
    groups = timed("draw people, weigh pairs", lambda: cut(images, pairs, scores, asked))
    timed("redrawn AUC", lambda: [group.bootstrap.auc(group.scores) for group in groups])
    steps = np.quantile(scores, np.linspace(0, 1, 201))
    timed("redrawn EER", lambda: [group.bootstrap.eer(group.scores, steps) for group in groups])
    timed("multinomial draws alone", lambda: [_draws(group.bootstrap, number) for number, group in enumerate(groups)])
    found = timed("every metric and the ROC bands", lambda: evaluate("run", images, pairs, scores, asked))
    print(f"{len(found.metrics)} numbers, {len(found.curves)} points of curves; {asked.bootstrap} draws")
    return 0


def _draws(bootstrap: IdentityBootstrap, seed: int) -> np.ndarray:
    count = bootstrap.identities
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=bootstrap.draws)


if __name__ == "__main__":
    raise SystemExit(main())
