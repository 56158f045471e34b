"""Score normalisation M1 to M3 (arXiv 2407.14087): a score against what strangers score.

M1 and M2 are the Z-norm and T-norm of speaker recognition. A probe of group d(p) is compared with a reference of group d(r).
Standard deviations are those of n - 1.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fairlab.errors import FairLabError
from fairlab.evaluation.repair.base import (
    FEW,
    LEAST,
    REPAIRS,
    Cohort,
    Fitted,
    Images,
    Moments,
    RepairFacts,
    Scored,
    group_names,
    one_by_one,
    rows_of,
)  # fmt: skip

SOURCE = "arXiv 2407.14087"
AT_A_TIME = 1024
"""Images whose scores with the cohort are held at once."""
EVERYBODY = ""
"""In place of a group's name: the whole cohort."""


def image_moments(vectors: np.ndarray, cohort: Images, groups: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (N, G) of each image's scores with the cohort's images of each of `groups`.

    vectors (N, D); EVERYBODY among the groups is the whole cohort. Raises FairLabError for a group of fewer than two images,
    and for an image whose scores are all equal.
    """
    members = [np.ones(len(cohort.groups), bool) if name == EVERYBODY else cohort.groups == name for name in groups]
    for name, chosen in zip(groups, members, strict=True):
        if chosen.sum() < LEAST:
            whose = f"images of {name!r}" if name else "images"
            raise FairLabError(f"the cohort has {int(chosen.sum())} {whose}; at least {LEAST} are needed, better {FEW}")
    mean, deviation = np.empty((len(vectors), len(groups))), np.empty((len(vectors), len(groups)))
    for start in range(0, len(vectors), AT_A_TIME):
        scores = np.asarray(vectors[start : start + AT_A_TIME]) @ np.asarray(cohort.vectors).T
        for column, chosen in enumerate(members):
            part = scores[:, chosen].astype(np.float64)
            mean[start : start + AT_A_TIME, column] = part.mean(1)
            deviation[start : start + AT_A_TIME, column] = part.std(1, ddof=1)
    if not (deviation > 0).all():
        raise FairLabError("an image has the same score with all images of a cohort's group: its spread is zero")
    return mean, deviation


class _OfAnImage:
    """Each score against the scores of one of its two images with the cohort; what is kept is the cohort itself."""

    side: ClassVar[Literal["probe", "reference"]]
    by_group: ClassVar[bool] = False
    """Is it the cohort of the other side's group alone?"""

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        images = cohort.embedded()
        names = group_names(images.groups) if self.by_group else [EVERYBODY]
        few = [name for name in names if (images.groups == name).sum() < FEW] if self.by_group else []
        notes = [f"{name}: only {int((images.groups == name).sum())} images in the cohort" for name in few]
        return Fitted(self.name, {"vectors": images.vectors, "groups": images.groups.astype(str)}, tuple(notes))

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        probe, reference, images = test.sides()
        cohort = Images(*one_by_one(fitted.arrays, "vectors", "groups"))
        rows = probe if self.side == "probe" else reference
        others = test.reference_groups if self.side == "probe" else test.probe_groups
        names = group_names(others) if self.by_group else [EVERYBODY]
        if self.by_group:
            rows_of(np.array(group_names(cohort.groups)), others)  # a group without a cohort is refused by name
        used, place = np.unique(rows, return_inverse=True)
        mean, deviation = image_moments(images.vectors[used], cohort, names)
        column = rows_of(np.array(names), others) if self.by_group else np.zeros(len(rows), int)
        result: np.ndarray = (test.scores - mean[place, column]) / deviation[place, column]
        return result

    name: ClassVar[str]


@REPAIRS.register("m1")
class M1(_OfAnImage):
    """(s - mean) / deviation of the reference's scores with the whole cohort (Z-norm)."""

    name, side = "m1", "reference"
    facts: ClassVar = RepairFacts("M1: Z-norm", SOURCE, "embeddings", "", "order", 200)


@REPAIRS.register("m1_1")
class M11(_OfAnImage):
    """As M1, with the cohort's people of the probe's group."""

    name, side, by_group = "m1_1", "reference", True
    facts: ClassVar = RepairFacts("M1.1: Z-norm by group", SOURCE, "embeddings", "probe", "order", 1000)


@REPAIRS.register("m2")
class M2(_OfAnImage):
    """(s - mean) / deviation of the probe's scores with the whole cohort (T-norm)."""

    name, side = "m2", "probe"
    facts: ClassVar = RepairFacts("M2: T-norm", SOURCE, "embeddings", "", "order", 200)


@REPAIRS.register("m2_1")
class M21(_OfAnImage):
    """As M2, with the cohort's people of the reference's group."""

    name, side, by_group = "m2_1", "probe", True
    facts: ClassVar = RepairFacts("M2.1: T-norm by group", SOURCE, "embeddings", "reference", "order", 1000)


class _OfAGroup:
    """One mean and one deviation for each group, of the reference: a pair across groups is processed by the reference's."""

    name: ClassVar[str]

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray:
        names, mean, deviation = one_by_one(fitted.arrays, "groups", "mean", "deviation")
        at = rows_of(names, test.reference_groups)
        result: np.ndarray = (test.scores - mean[at]) / deviation[at]
        return result


class _OfTestImages(_OfAGroup):
    """Of the scores of the test's images of a group with the cohort's of the same group, all together."""

    side: ClassVar[Literal["probe", "reference"]]

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        probe, reference, images = test.sides()
        strangers, rows = cohort.embedded(), np.unique(probe if self.side == "probe" else reference)
        moments = Moments(f"scores of {self.side}s with the cohort")
        for name in group_names(test.reference_groups):
            some, others = (
                images.vectors[rows[images.groups[rows] == name]],
                strangers.vectors[strangers.groups == name],
            )
            moments.add(name, (np.asarray(some) @ np.asarray(others).T).ravel().astype(np.float64))
        return Fitted(self.name, moments.arrays(), tuple(moments.notes))


@REPAIRS.register("m1_2")
class M12(_OfTestImages):
    """(s - mean) / deviation of all references of a group with the cohort's people of this group."""

    name, side = "m1_2", "reference"
    facts: ClassVar = RepairFacts("M1.2: Z-norm of a group", SOURCE, "embeddings", "reference", "thresholds", 25)


@REPAIRS.register("m2_2")
class M22(_OfTestImages):
    """(s - mean) / deviation of all probes of a group with the cohort's people of this group."""

    name, side = "m2_2", "probe"
    facts: ClassVar = RepairFacts("M2.2: T-norm of a group", SOURCE, "embeddings", "reference", "thresholds", 25)


@REPAIRS.register("m3")
class M3(_OfAGroup):
    """(s - mean) / deviation of the cohort's impostor pairs of a group."""

    name = "m3"
    facts: ClassVar = RepairFacts("M3: impostors of a group", SOURCE, "scores", "reference", "thresholds")

    def fit(self, cohort: Cohort, test: Scored) -> Fitted:
        pairs, moments = cohort.pairs, Moments("impostor pairs in the cohort")
        for name in group_names(pairs.reference_groups):
            moments.add(name, pairs.scores[(pairs.reference_groups == name) & ~pairs.kinds()])
        return Fitted(self.name, moments.arrays(), tuple(moments.notes))
