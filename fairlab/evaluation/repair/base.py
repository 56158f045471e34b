"""The contract of a repair: what it is fitted on, what it takes, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from fairlab.errors import FairLabError
from fairlab.registry import Registry

LEAST, FEW = 2, 30
"""Values without which there is no standard deviation, and below which one is said to be uncertain."""


@dataclass(frozen=True)
class Images:
    """Unit embeddings (N, D), the group of each (N,), names, and whose they are (N,), where it matters."""

    vectors: np.ndarray
    groups: np.ndarray
    people: np.ndarray | None = None


@dataclass(frozen=True)
class Scored:
    """Pairs (P,) with scores, higher = more alike.

    probe_groups, reference_groups: the group of each side (P,), names; genuine (P,) bool, needed of a cohort only. probe,
    reference: rows of images (P,), where embeddings are at hand.
    """

    scores: np.ndarray
    probe_groups: np.ndarray
    reference_groups: np.ndarray
    genuine: np.ndarray | None = None
    probe: np.ndarray | None = None
    reference: np.ndarray | None = None
    images: Images | None = None

    def sides(self) -> tuple[np.ndarray, np.ndarray, Images]:
        """(probe rows, reference rows, images). Raises FairLabError where only scores are known."""
        if self.probe is None or self.reference is None or self.images is None:
            raise FairLabError(
                "this repair needs embeddings; a table of scores has none: choose M3, M4, M5 or one of the oracles"
            )
        return self.probe, self.reference, self.images

    def kinds(self) -> np.ndarray:
        """Which pairs are genuine. Raises FairLabError where that is not known."""
        if self.genuine is None:
            raise FairLabError("a cohort must say which of its pairs are genuine")
        return self.genuine


@dataclass(frozen=True)
class Cohort:
    """People outside the test: their images, where embeddings are at hand, and scored pairs of them within groups."""

    pairs: Scored
    images: Images | None = None

    def embedded(self) -> Images:
        """The images. Raises FairLabError where only scores are known."""
        if self.images is None:
            raise FairLabError("this repair needs embeddings of a cohort; its scores alone are not enough")
        return self.images


@dataclass(frozen=True)
class Fitted:
    """What a repair learnt: arrays, by name, which can be stored without pickle; notes: sentences about it."""

    repair: str
    arrays: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RepairFacts:
    """title, source: for pages; needs: what it works on; group: whose group label it takes when it is used ("" none);
    changes: whether pairs of one group change places, or only move together (then no number with a threshold for each group
    can change); cohort: values per group that its source uses, 0 where it names none.
    """

    title: str
    source: str
    needs: Literal["embeddings", "scores"]
    group: Literal["", "probe", "reference", "both"]
    changes: Literal["order", "thresholds"]
    cohort: int = 0
    oracle: bool = False
    """It takes true group labels to show what is possible."""


class Repair(Protocol):
    """fit() learns from a cohort (and, where the source has it so, from the test's images, never from its labels);
    apply() returns new scores (P,) of pairs, higher = more alike, on a scale of the repair's own.
    """

    facts: ClassVar[RepairFacts]

    def fit(self, cohort: Cohort, test: Scored) -> Fitted: ...

    def apply(self, fitted: Fitted, test: Scored) -> np.ndarray: ...


REPAIRS: Registry[type[Repair]] = Registry("repair", "fairlab.evaluation.repair")


@dataclass
class Moments:
    """Mean and standard deviation (n - 1) by name, from groups of values; sentences about those of few values."""

    of: str
    """What the values are, for messages: "impostor scores of the cohort"."""
    names: list[str] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    deviation: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: np.ndarray) -> None:
        """Raises FairLabError for fewer than two values, and for values without spread."""
        deviation = check_values(f"{name}: {self.of}", values)
        self.names.append(name)
        self.mean.append(float(values.mean()))
        self.deviation.append(deviation)
        if len(values) < FEW:
            self.notes.append(f"{name}: only {len(values)} {self.of}, so its mean and spread are uncertain")

    def arrays(self) -> dict[str, np.ndarray]:
        return {"groups": np.array(self.names), "mean": np.array(self.mean), "deviation": np.array(self.deviation)}


def check_values(what: str, values: np.ndarray) -> float:
    """The standard deviation (n - 1) of values. Raises FairLabError where there is none to divide by."""
    if len(values) < LEAST:
        raise FairLabError(f"{what}: {len(values)}; at least {LEAST} are needed, better {FEW}: choose a larger cohort")
    deviation = float(values.std(ddof=1))
    if not deviation > 0:
        raise FairLabError(f"{what} are all equal ({values[0]:g}), so there is no spread to divide by")
    return deviation


def rows_of(names: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Where each group (P,) is among the fitted names (G,). Raises FairLabError for a group that the cohort lacks."""
    place = {name: row for row, name in enumerate(names.tolist())}
    if missing := sorted({str(group) for group in groups.tolist()} - place.keys()):
        raise FairLabError(
            f"the cohort has nobody of {missing[0]!r}, which the test has; it has: {', '.join(map(str, place))}"
        )
    return np.array([place[group] for group in groups.tolist()], int)


def group_names(*parts: Sequence[str] | np.ndarray) -> list[str]:
    """All groups of these, in the order of their first appearance."""
    return list(dict.fromkeys(str(name) for part in parts for name in np.asarray(part).tolist()))


def one_by_one(arrays: Mapping[str, Any], *names: str) -> tuple[np.ndarray, ...]:
    """Arrays of a fitted repair, by name. Raises FairLabError where one is missing."""
    if missing := [name for name in names if name not in arrays]:
        raise FairLabError(f"the fitted repair lacks {missing[0]!r}")
    return tuple(np.asarray(arrays[name]) for name in names)
