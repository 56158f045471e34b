"""Hard impostors: a list's genuine pairs, and as impostors the strangers whom a model takes for most alike."""

from __future__ import annotations

import numpy as np

from fairlab.jobs.evaluate.assess import judged_vectors
from fairlab.jobs.protocols.base import PROTOCOLS, Asked, Outcome, final_images, final_pairs
from fairlab.jobs.protocols.lists import how_many, judged_list, with_impostors
from fairlab.store.index import knn
from fairlab.store.runs import read_run


@PROTOCOLS.register(
    "hard_impostors",
    title="Hard impostors",
    sentence="The genuine pairs of the test list. The impostors pair each image with the nearest image of another "
    "person in its group, then the second nearest, and so on.",
    source="as RFW picked its impostors (Wang et al., ICCV 2019, arXiv 1812.00194); nearest neighbours by FAISS",
    needs_pairs=True,
    settings=("impostors", "mined_by"),
    version=1,
)
def hard_impostors(asked: Asked) -> Outcome:
    """Mine each group by the judged model, or by the settings' `mined_by`, so that several models meet the same list."""
    pairs, images = final_pairs(asked.dataset), final_images(asked.dataset)
    miner = read_run(asked.job.workspace, asked.settings.mined_by) if asked.settings.mined_by else asked.model
    vectors, ids, _ = judged_vectors(miner, asked.dataset)
    images = images[images["image_id"].isin(ids)]
    asked.job.progress.begin("mining impostors", "groups")
    groups, mined = list(dict.fromkeys(pairs["group"])), {}
    for number, group in enumerate(groups):
        asked.job.go_on()
        of = images[images["group"] == group]
        people, own = of["identity"].to_numpy(), of["image_id"].to_numpy()
        unit = np.asarray(vectors[np.searchsorted(ids, own)], dtype=np.float32)
        codes = np.unique(people, return_inverse=True)[1]
        first, second = mine(unit, codes, how_many(asked, pairs, group, people))
        mined[group] = own[first], own[second]
        asked.job.progress.advance(number + 1, len(groups))
    by_itself = miner.run_id == asked.model.run_id
    note = (
        "the impostors were picked by this model itself: its numbers cannot be compared with those of others"
        if by_itself
        else f"the impostors were picked by {miner.title} ({miner.run_id})"
    )
    return judged_list(asked, "hard_impostors", with_impostors(pairs, mined), [note], {"mined_by": miner.run_id})


def mine(vectors: np.ndarray, people: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` different pairs of images (n,) of two people: rows (count,) and (count,), first < second.

    First everybody's nearest stranger, the most alike first, then the second nearest ... by unit vectors (n, D); there
    must be so many.
    """
    images = len(people)
    most, depth = int(np.bincount(people).max(initial=0)), 1
    while count:
        rows, cosines = knn(vectors, min(most + depth, images))
        rank = np.cumsum(people[rows] != people[:, None], axis=1)
        # So deep everybody's strangers are known; who has few images shows more, which must wait for the others'.
        stranger = (people[rows] != people[:, None]) & ((rank <= depth) | (most + depth >= images))
        low, high = (pick(np.arange(images)[:, None], rows)[stranger] for pick in (np.minimum, np.maximum))
        order = np.lexsort((high, low, -cosines[stranger], rank[stranger]))
        keys = (low * images + high)[order]
        keys = keys[np.sort(np.unique(keys, return_index=True)[1])]  # a pair stands where it first came
        if len(keys) >= count or most + depth >= images:
            return keys[:count] // images, keys[:count] % images
        depth *= 2
    return np.empty(0, np.int64), np.empty(0, np.int64)
