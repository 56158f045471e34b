"""Repairs without a group's label: faces that lie together take a threshold or a calibration curve of their own.

Fair score normalisation: Terhoerst et al., arXiv 2002.03592. FairCal: Salvador et al., arXiv 2106.03761. Clusters are
k-means over the cohort's embeddings; the published code leaves their seed open, here it is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from scipy.cluster.vq import kmeans2

from fairlab.errors import FairLabError
from fairlab.evaluation.repair.base import REPAIRS, Cohort, Fitted, Images, RepairFacts, Scored, one_by_one
from fairlab.evaluation.repair.calibrators import Kind, along, beta, beta_chance, knots
from fairlab.evaluation.verification import EXPECTED_ERRORS, threshold_at_fmr

CLUSTERS = 100
"""As published, in both papers."""
FMR = 0.001
"""At which fair score normalisation sets its thresholds, as published."""
ROUNDS = 50
LARGEST = 8000
"""Cohort images of which all comparisons are made: 32 million scores, 128 MB."""


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The number of the nearest centre (K, D) of each vector (N, D)."""
    found: np.ndarray = (np.asarray(vectors) @ centres.T - (centres**2).sum(1) / 2).argmax(1)
    return found


def centres_of(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """k-means++ centres (K, D), K at most `count` and the number of vectors."""
    count = min(count, len(vectors))
    if count == 1:
        return np.asarray(vectors).mean(0, keepdims=True)
    points = np.asarray(vectors, np.float64)
    centres, labels = kmeans2(points, _first(points, count, seed), iter=ROUNDS, minit="matrix", missing="warn")
    found: np.ndarray = centres[np.unique(labels)]
    return found


def _first(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The first centres of k-means++ (Arthur and Vassilvitskii, SODA 2007): each drawn by its squared distance to those before.

    scipy's own measures every distance again for each centre: six seconds for 100 among 4,000 points of 512 dimensions.
    """
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(points)))]
    lengths = (points**2).sum(1)
    apart = np.full(len(points), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        apart = np.minimum(apart, np.maximum(lengths - 2 * points @ points[last] + lengths[last], 0))
        apart[last] = 0
        total = float(apart.sum())
        if not total > 0:
            break  # all points are on the centres already
        chosen.append(int(rng.choice(len(points), p=apart / total)))
    return points[chosen]


def dissolved(
    vectors: np.ndarray, centres: np.ndarray, wanting: Callable[[np.ndarray, int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(centres, label of each vector) after clusters that want something are dissolved, the worst first.

    wanting(labels, K): how much each of the K clusters lacks, 0 where nothing. What lay in a dissolved cluster goes to the
    nearest that is left; the last cluster is never dissolved.
    """
    labels = nearest(vectors, centres)
    while len(centres) > 1:
        lacking = wanting(labels, len(centres))
        if not lacking.max() > 0:
            break
        centres = np.delete(centres, int(lacking.argmax()), axis=0)
        labels = nearest(vectors, centres)
    return centres, labels


def cluster_thresholds(
    scores: np.ndarray, genuine: np.ndarray, clusters: tuple[np.ndarray, np.ndarray], count: int, fmr: float
) -> tuple[float, np.ndarray]:
    """(threshold of all pairs, thresholds (count,) of the pairs whose images both lie in a cluster) at an FMR.

    scores, genuine (P,); clusters: of either image (P,).
    """
    impostors, (one, other) = ~genuine, clusters
    own = [threshold_at_fmr(scores[impostors & (one == number) & (other == number)], fmr) for number in range(count)]
    return threshold_at_fmr(scores[impostors], fmr), np.array(own)


def shifted(scores: np.ndarray, one: np.ndarray, other: np.ndarray, every: float) -> np.ndarray:
    """s - (threshold of one image's cluster + that of the other's) / 2 + threshold of all."""
    result: np.ndarray = scores - (one + other) / 2 + every
    return result


@REPAIRS.register("fair_normalisation")
class FairNormalisation:
    """s - (t(probe) + t(reference)) / 2 + t: thresholds of clusters and of all, at one FMR, of all the cohort's comparisons.

    Published: 100 clusters, whatever their size, a threshold found among few pairs, and each image with itself as a genuine
    pair. Here a cluster is kept only if its comparisons can measure the FMR.
    """

    name = "fair_normalisation"
    facts: ClassVar = RepairFacts("Fair score normalisation", "arXiv 2002.03592", "embeddings", "", "order")

    def __init__(self, clusters: int = CLUSTERS, fmr: float = FMR, seed: int = 0) -> None:
        self.clusters, self.fmr, self.seed = clusters, fmr, seed

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        images = cohort.embedded()
        people = _people(images)
        least = EXPECTED_ERRORS / self.fmr

        def wanting(labels: np.ndarray, count: int) -> np.ndarray:
            inside = [_impostors_inside(people[labels == number]) for number in range(count)]
            return np.maximum(least - np.array(inside, float), 0)

        centres = centres_of(images.vectors, self.clusters, self.seed)
        asked = len(centres)
        centres, labels = dissolved(images.vectors, centres, wanting)
        every = threshold_at_fmr(_impostor_scores(images.vectors, people), self.fmr)
        own = [
            threshold_at_fmr(_impostor_scores(images.vectors[labels == number], people[labels == number]), self.fmr)
            for number in range(len(centres))
        ]
        note = f"{len(centres)} of {asked} clusters can measure FMR {self.fmr:g} (at least {least:,.0f} impostor comparisons)"
        return Fitted(self.name, {"centres": centres, "thresholds": np.array(own), "all": np.array([every])}, (note,))

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        probe, reference, images = test.sides()
        centres, own, every = one_by_one(fitted.arrays, "centres", "thresholds", "all")
        at = own[nearest(images.vectors, centres)]
        return shifted(test.scores, at[probe], at[reference], float(every[0]))


def _people(images: Images) -> np.ndarray:
    if images.people is None:
        raise FairLabError("fair score normalisation needs to know whose the cohort's images are")
    if len(images.vectors) > LARGEST:
        raise FairLabError(
            f"fair score normalisation compares all images of the cohort with each other: {len(images.vectors):,} are more "
            f"than {LARGEST:,}; take fewer people, or fewer images of each"
        )
    return np.unique(images.people, return_inverse=True)[1]


def _impostors_inside(people: np.ndarray) -> int:
    """Comparisons of two different people among these images."""
    _, counts = np.unique(people, return_counts=True)
    return int((len(people) ** 2 - (counts**2).sum()) // 2)


def _impostor_scores(vectors: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Scores of all comparisons of two different people."""
    scores = np.asarray(vectors) @ np.asarray(vectors).T
    return scores[np.triu(people[:, None] != people, 1)]


@REPAIRS.register("faircal")
class FairCal:
    """(n p(s) + m q(s)) / (n + m): the curves p, q of the clusters of both images, fitted on the n, m pairs that touch them."""

    name = "faircal"
    facts: ClassVar = RepairFacts("FairCal", "arXiv 2106.03761", "embeddings", "", "order")

    def __init__(self, clusters: int = CLUSTERS, kind: Kind = "beta", seed: int = 0) -> None:
        self.clusters, self.kind, self.seed = clusters, kind, seed

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        pairs = cohort.pairs
        probe, reference, images = pairs.sides()
        genuine = pairs.kinds()

        def touching(labels: np.ndarray, number: int) -> np.ndarray:
            found: np.ndarray = (labels[probe] == number) | (labels[reference] == number)
            return found

        def wanting(labels: np.ndarray, count: int) -> np.ndarray:
            return np.array([self._lacks(pairs.scores, genuine, touching(labels, number)) for number in range(count)])

        centres = centres_of(images.vectors, self.clusters, self.seed)
        asked = len(centres)
        centres, labels = dissolved(images.vectors, centres, wanting)
        arrays = [
            self._curve(pairs.scores[some], genuine[some])
            for some in (touching(labels, n) for n in range(len(centres)))
        ]
        counts = [int(touching(labels, number).sum()) for number in range(len(centres))]
        note = f"{len(centres)} of {asked} clusters have pairs of both kinds whose scores overlap"
        lengths = [len(curve) for curve in arrays]
        kept = {
            "centres": centres,
            "counts": np.array(counts),
            "lengths": np.array(lengths),
            "curves": np.concatenate(arrays),
        }
        return Fitted(self.name, kept | {"kind": np.array(self.kind)}, (note,))

    def _lacks(self, scores: np.ndarray, genuine: np.ndarray, some: np.ndarray) -> float:
        """Above 0 where no curve can be fitted to these pairs, the more the fewer there are."""
        right, wrong = scores[some & genuine], scores[some & ~genuine]
        overlap = len(right) and len(wrong) and right.min() < wrong.max() and wrong.min() < right.max()
        return 0.0 if overlap else 1 / (1 + int(some.sum()))

    def _curve(self, scores: np.ndarray, genuine: np.ndarray) -> np.ndarray:
        """(K, 2): a, b and c of beta calibration, or knots."""
        if self.kind == "beta":
            return np.stack([np.array(beta(scores, genuine, "a cluster of the cohort")), np.zeros(3)], 1)
        return np.stack(knots(scores, genuine, self.kind, "a cluster of the cohort"), 1)

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        probe, reference, images = test.sides()
        centres, counts, lengths, curves, kind = one_by_one(
            fitted.arrays, "centres", "counts", "lengths", "curves", "kind"
        )
        at = nearest(images.vectors, centres)
        parts = np.split(curves, np.cumsum(lengths)[:-1])
        total, weight = np.zeros(len(test.scores)), np.zeros(len(test.scores))
        for side in (at[probe], at[reference]):
            for number in np.unique(side):
                some, curve = side == number, parts[number]
                if str(kind) == "beta":
                    chance = beta_chance(test.scores[some], *curve[:, 0].tolist())
                else:
                    chance = along(test.scores[some], curve[:, 0], curve[:, 1])
                total[some] += counts[number] * chance
                weight[some] += counts[number]
        result: np.ndarray = total / weight
        return result
