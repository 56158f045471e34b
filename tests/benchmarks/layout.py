"""`python -m tests.benchmarks.layout [COUNT] [DIM] [--umap]`: a map of COUNT (200,000) vectors of DIM (512) numbers.

Says the processor seconds of each stage, the trustworthiness, and the peak of memory. --umap: also umap-learn's own defaults
(its own neighbours, spectral start) on 20,000 of them, people whole, measured in the same way.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings

import numpy as np

from fairlab.jobs.projection import project
from fairlab.jobs.sample import whole_people
from fairlab.jobs.trust import trustworthiness
from fairlab.settings.study import Projection

SAMPLE = 20_000


def faces(count: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(unit vectors, people, groups): 4 groups, about 10 images a person, cosine within a person about .7."""
    random = np.random.default_rng(seed)
    people = max(1, count // 10)
    person = np.repeat(np.arange(people), random.geometric(0.1, people))[:count]
    person = np.sort(np.concatenate([person, random.integers(0, people, count - len(person))]))
    group = random.integers(0, 4, people)
    scale = ((1 + np.arange(dim)) ** -0.25).astype(np.float32)
    centres = random.normal(size=(people, dim)).astype(np.float32) + 0.6 * random.normal(size=(4, dim))[group]
    vectors = np.empty((count, dim), np.float32)
    for start in range(0, count, 50_000):
        part = slice(start, start + 50_000)
        noise = random.normal(size=(len(person[part]), dim)).astype(np.float32)
        vectors[part] = (centres[person[part]] + 0.75 * noise) * scale
        vectors[part] /= np.linalg.norm(vectors[part], axis=1, keepdims=True)
    return vectors, person.astype(str), np.array(list("ABCD"))[group[person]]


class Stages:
    """Processor seconds of each stage of a layout, told on the way."""

    def __init__(self) -> None:
        self.stage, self.began, self.spent = "comparing vectors", time.process_time(), dict[str, float]()

    def __call__(self, stage: str, done: int, of: int) -> None:
        if stage != self.stage:
            now = time.process_time()
            self.spent[self.stage] = now - self.began
            self.stage, self.began = stage, now


def main() -> int:
    numbers = [int(text) for text in sys.argv[1:] if text.isdecimal()]
    count, dim = numbers[0] if numbers else 200_000, numbers[1] if len(numbers) > 1 else 512
    warnings.simplefilter("ignore")
    vectors, people, groups = faces(count, dim)
    settings = Projection(max_points=count)
    landmarks = whole_people(people, groups, settings.landmarks, 0).rows
    stages, wall = Stages(), time.perf_counter()
    _, facts = project(vectors, settings, landmarks=landmarks, tell=stages)
    stages("", 0, 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    total = sum(stages.spent.values())
    print(", ".join(f"{name} {spent:.0f} s" for name, spent in stages.spent.items()))
    print(
        f"{count:,} x {dim}: {total:.0f} processor s, {time.perf_counter() - wall:.0f} s by the clock, {memory:.1f} GB at most, "
        f"trustworthiness {facts['trustworthiness']:.4f} "
        f"{[round(float(end), 4) for end in facts.get('trust_interval', ())]}, "
        f"neighbours found {facts.get('neighbours_found', 1):.3f}",
        flush=True,
    )
    if "--umap" in sys.argv:
        import umap

        rows = whole_people(people, groups, SAMPLE, 0).rows
        began = time.process_time()
        xy = umap.UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(vectors[rows])
        spent, trust = time.process_time() - began, trustworthiness(vectors[rows], np.asarray(xy))
        print(
            f"umap's defaults on {len(rows):,}: {spent:.0f} processor s, {trust.value:.4f} [{trust.low}, {trust.high}]"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
