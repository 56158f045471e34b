"""Which images are shown or measured where all are too many: people whole, drawn per group by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """rows: row numbers, rising; people, people_of: people drawn and people there are; cut: people of whom only some images fit."""

    rows: np.ndarray
    people: int
    people_of: int
    cut: int = 0


def whole_people(people: np.ndarray, groups: np.ndarray, count: int, seed: int) -> Sample:
    """At most `count` of N images, all images of each person drawn, so that who lies near whom is seen.

    people, groups: (N,) the person and the group of each image; an image of no known person ("") stands for itself. Every
    group gets its share of the images (at least one). Its people come in an order drawn by seed, as long as they fit. A
    person is of the group of its first image. Where each has more images than the share, the first is shown in part.
    """
    person, first = _numbered(people)
    of = len(first)
    if len(people) <= count:
        return Sample(np.arange(len(people)), of, of)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 5])))
    group = np.unique(groups, return_inverse=True)[1][first]
    sizes = np.bincount(person, minlength=of)
    drawn, rows, cut = np.zeros(of, bool), [], 0
    for number in range(int(group.max()) + 1):
        order = random.permutation(np.flatnonzero(group == number))
        share = max(1, int(count * sizes[order].sum() / len(people)))
        fitting = order[np.cumsum(sizes[order]) <= share]
        if not len(fitting):
            fitting = order[sizes[order] <= share][:1]
        drawn[fitting] = True
        if not len(fitting) and len(order):
            own = np.flatnonzero(person == order[0])
            rows.append(own[np.linspace(0, len(own) - 1, share).astype(int)])
            cut += 1
    rows.append(np.flatnonzero(drawn[person]))
    return Sample(np.sort(np.concatenate(rows))[:count], int(drawn.sum()) + cut, of, cut)


def _numbered(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of each image's person from 0, (N,); the first row of each person)."""
    names = np.asarray(people).astype(str)
    _, first, person = np.unique(names, return_index=True, return_inverse=True)
    nobody = names == ""
    if nobody.any():
        person = person.astype(np.int64)
        person[nobody] = len(first) + np.flatnonzero(nobody)
        _, first, person = np.unique(person, return_index=True, return_inverse=True)
    return person, first
