"""Time and memory of the numbers of IJB-B: python -m tests.benchmarks.many_pairs [PAIRS] [DRAWS].

Generated: 1,845 people, 12,115 templates of 227,630 images with embeddings of 512 numbers, 8,010,270 pairs, 1,000 draws. The peak
is that of the whole process so far, with what was generated.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation.many_pairs import ManyPairs
from fairlab.evaluation.report import CURVE_POINTS
from fairlab.evaluation.scores import pair_scores
from fairlab.evaluation.templates import template_vectors

PEOPLE, TEMPLATES, IMAGES, DIM, GENUINE, PAIRS, DRAWS = 1845, 12_115, 227_630, 512, 10_270, 8_010_270, 1000

EER_THRESHOLDS = 201


def timed(what: str, work: Callable[[], Any]) -> Any:
    """The result of `work`, its time and the peak printed."""
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    cpu = time.process_time() - worked
    print(f"{what:32} {time.perf_counter() - began:6.1f} s   CPU {cpu:6.1f} s   peak {peak:5.2f} GB", flush=True)
    return result


def main() -> None:
    count, draws = (int(text) for text in (*sys.argv[1:], *(str(PAIRS), str(DRAWS))[len(sys.argv) - 1 :]))
    random = np.random.default_rng(0)
    person = np.concatenate([np.arange(PEOPLE), random.integers(0, PEOPLE, TEMPLATES - PEOPLE)])  # the gallery first
    probes = np.arange(PEOPLE, TEMPLATES)
    one = np.concatenate([person[probes], random.integers(0, PEOPLE, count - GENUINE)])
    two = np.concatenate([probes, random.choice(probes, count - GENUINE)])
    genuine = person[one] == person[two]  # a few more by chance
    print(f"{count:,} pairs of {TEMPLATES:,} templates, {PEOPLE:,} people, {draws} draws")
    intervals(person[one], person[two], genuine, random.normal(size=count) + 4 * genuine, draws)
    template = np.sort(np.concatenate([np.arange(TEMPLATES), random.integers(0, TEMPLATES, IMAGES - TEMPLATES)]))
    first = np.searchsorted(template, np.arange(TEMPLATES))
    images = pd.DataFrame({"template": first[template], "image_id": np.arange(IMAGES)})
    images["media"], images["weight"] = random.integers(0, 5, IMAGES), random.uniform(0.5, 1, IMAGES)
    centre = random.normal(size=(PEOPLE, DIM)).astype(np.float32)
    vectors = centre[person[template]]
    vectors += 2 * random.standard_normal((IMAGES, DIM), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    vectors /= norms[:, None]
    pairs = pd.DataFrame({"pair_id": np.arange(count), "image_a": first[one], "image_b": first[two]})
    timed("embeddings are there", lambda: None)
    ids = np.arange(IMAGES)
    units = timed("template vectors, two views", lambda: template_vectors([(vectors, norms)] * 2, ids, images))
    timed("scores", lambda: pair_scores(units, first, pairs))


def intervals(a: np.ndarray, b: np.ndarray, genuine: np.ndarray, scores: np.ndarray, draws: int) -> None:
    """All redrawn numbers of a list of pairs of the people a, b (P,)."""
    timed("pairs are there", lambda: None)
    began, worked = time.perf_counter(), time.process_time()
    people = timed("draws and cells", lambda: ManyPairs(a, b, genuine, draws, 0))
    limit = np.quantile(scores[~genuine], 1 - 1e-4)
    timed(
        "FMR and FNMR at a threshold", lambda: (people.rate(scores >= limit, False), people.rate(scores < limit, True))
    )
    timed("accuracy", lambda: people.mean((scores >= limit) == genuine))
    timed("AUC", lambda: people.auc(scores))
    thresholds = np.unique(np.quantile(scores, np.linspace(0, 1, EER_THRESHOLDS)))
    timed("EER", lambda: people.eer(scores, thresholds))
    timed("d'", lambda: people.d_prime(scores))
    levels = np.quantile(scores[~genuine], np.linspace(0, 1, CURVE_POINTS))
    timed("ROC's band", lambda: [people.rate(scores < level, True) for level in levels])
    print(f"all intervals {time.perf_counter() - began:.0f} s, CPU {time.process_time() - worked:.0f} s")


if __name__ == "__main__":
    main()
