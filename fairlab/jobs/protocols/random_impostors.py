"""Random impostors: a list's genuine pairs, and impostors as chance brings them together."""

from __future__ import annotations

import zlib

import numpy as np

from fairlab.jobs.protocols.base import PROTOCOLS, Asked, Outcome, final_images, final_pairs
from fairlab.jobs.protocols.lists import how_many, judged_list, with_impostors

LISTED_UP_TO = 2_000_000
"""Image pairs of a group that are written down to draw from; of more, pairs are drawn until there are enough."""


@PROTOCOLS.register(
    "random_impostors",
    title="Random impostors",
    sentence="The genuine pairs of the test list, and impostors of the same group drawn at random: the FMR for random "
    "strangers rather than look-alikes.",
    source="protocol 'random' of adachannn/score-norm-fairness on RFW; RFW's own impostors were picked hard",
    needs_pairs=True,
    settings=("impostors", "seed"),
    version=1,
)
def random_impostors(asked: Asked) -> Outcome:
    """Draw each group's impostors with the settings' seed; they hang on the group's name, not on the order of groups."""
    pairs, images = final_pairs(asked.dataset), final_images(asked.dataset)
    drawn = {}
    for group in dict.fromkeys(pairs["group"]):
        of = images[images["group"] == group]
        people, ids = of["identity"].to_numpy(), of["image_id"].to_numpy()
        random = np.random.Generator(np.random.PCG64([asked.settings.seed, zlib.crc32(str(group).encode())]))
        first, second = draw(np.unique(people, return_inverse=True)[1], how_many(asked, pairs, group, people), random)
        drawn[group] = ids[first], ids[second]
    return judged_list(asked, "random_impostors", with_impostors(pairs, drawn), [], {"seed": asked.settings.seed})


def draw(people: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` different pairs of images (n,) of two people, all equally likely: rows (count,) and (count,), first < second.

    There must be so many.
    """
    images = len(people)
    if images * (images - 1) // 2 <= LISTED_UP_TO:
        first, second = np.triu_indices(images, 1)
        known = np.flatnonzero(people[first] != people[second])
        chosen = random.choice(known, count, replace=False)
        return first[chosen], second[chosen]
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        one, other = random.integers(images, size=(2, 2 * (count - len(keys)) + 100))
        some = people[one] != people[other]
        low, high = np.minimum(one, other)[some], np.maximum(one, other)[some]
        keys = np.concatenate([keys, low * images + high])
        keys = keys[np.sort(np.unique(keys, return_index=True)[1])]
    keys = keys[:count]
    return keys // images, keys % images
