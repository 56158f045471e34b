"""Identity-disjoint folds: a list's pairs in folds that share nobody, so no threshold is chosen on people it is tried on."""

from __future__ import annotations

import numpy as np

from fairlab.data.folds import FOLDS
from fairlab.jobs.protocols.base import PROTOCOLS, Asked, Outcome, final_pairs
from fairlab.jobs.protocols.lists import judged_list

ROUNDS, SLACK = 10, 1.1
"""Times that people may move to the fold of their neighbours, and how full a fold may get."""
PEOPLE_EACH = 5
"""Fewer folds are made rather than folds of fewer people, in which few strangers could meet."""


@PROTOCOLS.register(
    "identity_disjoint",
    title="Identity-disjoint folds",
    sentence="The pairs of the test list in new folds that share no people; impostor pairs "
    "that would span two folds are left out and counted.",
    source="identity-disjoint folds matter: Goldilocks, arXiv 2405.15965",
    needs_pairs=True,
    settings=(),
    version=1,
)
def identity_disjoint(asked: Asked) -> Outcome:
    """All genuine pairs, and the impostor pairs whose two people are in one fold."""
    pairs, images = final_pairs(asked.dataset), asked.dataset.images
    who = images.set_index("image_id")["identity"]
    first, second = (who.loc[pairs[column]].to_numpy() for column in ("image_a", "image_b"))
    folds = disjoint_folds(first, second, pairs["group"].to_numpy())
    kept = folds >= 0
    lost = {str(group): int(number) for group, number in pairs["group"][~kept].value_counts(sort=False).items()}
    notes = []
    if lost:
        impostors = int((~pairs["genuine"]).sum())
        each = ", ".join(f"{group} {number}" for group, number in lost.items())
        notes.append(f"{sum(lost.values())} of {impostors} impostor pairs span two folds and were left out: {each}")
    listed = pairs[["image_a", "image_b", "genuine", "group"]].assign(fold=folds)[kept]
    return judged_list(asked, "identity_disjoint", listed, notes, {"left_out": lost})


def disjoint_folds(first: np.ndarray, second: np.ndarray, groups: np.ndarray, count: int = FOLDS) -> np.ndarray:
    """(P,) a fold 0.. for each pair of people `first`, `second` (P,); -1 where the two are in different folds.

    People are put into at most `count` folds, at least 2, group by group: people who meet stay together as far as folds
    of equal size allow. The same pairs get the same folds.
    """
    fold_of: dict[object, int] = {}
    for group in dict.fromkeys(groups):
        of = groups == group
        names, codes = np.unique(np.concatenate([first[of], second[of]]).astype(str), return_inverse=True)
        one, other = np.split(codes, 2)
        parts = max(min(count, len(names) // PEOPLE_EACH), 2)
        for name, fold in zip(names, _parted(one, other, len(names), parts), strict=True):
            fold_of.setdefault(name, int(fold))  # who is in two groups keeps the fold of the first
    here, there = (np.array([fold_of[str(name)] for name in names], np.int64) for names in (first, second))
    return np.where(here == there, here, -1)


def _parted(one: np.ndarray, other: np.ndarray, people: int, count: int) -> np.ndarray:
    """(people,) folds: neighbours side by side (reverse Cuthill-McKee), cut into equal parts, then moved where it helps."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    met = one != other
    meeting = coo_matrix(
        (np.ones(2 * met.sum()), (np.r_[one[met], other[met]], np.r_[other[met], one[met]])), (people,) * 2
    )
    graph = meeting.tocsr()
    order = reverse_cuthill_mckee(graph, symmetric_mode=True)
    weight = np.bincount(np.r_[one, other], minlength=people) / 2
    middle = np.cumsum(weight[order]) - weight[order] / 2
    fold = np.empty(people, np.int64)
    fold[order] = np.minimum(count * middle / max(weight.sum(), 1), count - 1).astype(np.int64)
    full = np.bincount(fold, weight, count)
    for _ in range(ROUNDS):
        moved = False
        for person in range(people):
            own = slice(graph.indptr[person], graph.indptr[person + 1])
            friends = np.bincount(fold[graph.indices[own]], graph.data[own], count)
            friends[full + weight[person] > SLACK * weight.sum() / count] = -1  # no room
            best, now = int(friends.argmax()), fold[person]
            if best != now and friends[best] > graph.data[own][fold[graph.indices[own]] == now].sum():
                full[now], full[best] = full[now] - weight[person], full[best] + weight[person]
                fold[person], moved = best, True
        if not moved:
            break
    return fold
