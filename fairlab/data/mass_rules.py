"""Which identities go, one by one, until groups are balanced by mass: four rules over the identities' soft group shares.

The rules of utils/sampling_analysis.py in the code of MST-KD (arXiv 2408.16563), named a, d, e and multiple forces there, for
arXiv 2506.01532. An identity's mass in a group is the sum of its images' shares of it. In the published code a tie between
groups falls to African, its last branch; here to the first of the tied groups. Between identities the name decides, as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlab.errors import FairLabError
from fairlab.settings.recipe import MassRule

LETTERS = {"mean_share": "a", "mean_mass": "d", "group_mass": "e", "total_mass": "multiple forces"}
"""The published names of the rules."""


@dataclass(frozen=True, eq=False)
class Identities:
    """names (P,), rising; sums (P, G): of their images' shares; images (P,): how many of them have shares; group (P,):
    the number 0..G-1 of each one's group, by the data or by its largest share; groups: G names.
    """

    names: np.ndarray
    sums: np.ndarray
    images: np.ndarray
    group: np.ndarray
    groups: tuple[str, ...]

    def relabelled(self) -> Identities:
        """Each in the group of its largest share; of two equal ones the first."""
        return Identities(self.names, self.sums, self.images, self.sums.argmax(1), self.groups)


@dataclass(frozen=True)
class Stop:
    """When to stop removing: after `count` identities, or, where it is None, once the largest mass exceeds the smallest by
    less than `gap`, a share of it.
    """

    count: int | None
    gap: float = 0.01


def removed(people: Identities, rule: MassRule, stop: Stop) -> np.ndarray:
    """Rows of the identities to remove, in the order in which they go.

    Raises FairLabError where a group would lose its last identity before, or has none to lose.
    """
    lines = [_line(people, rule, number) for number in range(len(people.groups))]
    total = people.sums.sum(0)
    order: list[int] = []
    while not _enough(stop, len(order), total if rule == "total_mass" else np.array([line.mass for line in lines])):
        number = _loser(rule, lines, total)
        line = lines[number]
        if line.gone + 1 >= len(line.rows):
            raise FairLabError(_exhausted(people, rule, number, len(order)))
        row = int(line.rows[line.gone])
        order.append(row)
        line.gone += 1
        total = total - people.sums[row]
    return np.array(order, np.int64)


@dataclass(eq=False)
class _Line:
    """A group's identities in the order in which they go (rows), and how many have gone. scores, masses (n + 1,): sums over
    the identities from each place on. Summed from the end: nothing is left in them of what has gone.
    """

    rows: np.ndarray
    scores: np.ndarray
    masses: np.ndarray
    gone: int = 0

    @property
    def mass(self) -> float:
        return float(self.masses[self.gone])

    @property
    def mean_score(self) -> float:
        left = len(self.rows) - self.gone
        return float(self.scores[self.gone]) / left if left else np.inf


def _line(people: Identities, rule: MassRule, number: int) -> _Line:
    rows = np.flatnonzero(people.group == number)
    mass = people.sums[rows, number]
    score = mass / people.images[rows] if rule == "mean_share" else mass
    order = np.argsort(score, kind="stable")  # names rise, so equal scores go by name
    return _Line(rows[order], _from_each_on(score[order]), _from_each_on(mass[order]))


def _from_each_on(values: np.ndarray) -> np.ndarray:
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def _enough(stop: Stop, count: int, masses: np.ndarray) -> bool:
    if stop.count is not None:
        return count >= stop.count
    return bool(masses.max() < (1 + stop.gap) * masses.min())


def _loser(rule: MassRule, lines: list[_Line], total: np.ndarray) -> int:
    """The number of the group that loses its next identity; of tied ones the first."""
    if rule == "total_mass":
        return int(np.argmax(total))
    if rule == "group_mass":
        return int(np.argmax([line.mass for line in lines]))
    return int(np.argmin([line.mean_score for line in lines]))


def _exhausted(people: Identities, rule: MassRule, number: int, count: int) -> str:
    group, size = people.groups[number], int((people.group == number).sum())
    if not size:
        return f"mass_rule {rule}: group {group!r} has the largest mass and no identity of its own to lose"
    return (
        f"mass_rule {rule} would remove the last of {size:,} identities of group {group!r} after {count:,} removals; ask for "
        f"fewer with remove, raise mass_gap, or choose another rule"
    )
