"""Who is in the demo data, in which split, and how many pictures of each: the order in which pictures are numbered."""

from __future__ import annotations

import numpy as np

from fairlab.data.demo.people import Factors, Person, draw_people, generator
from fairlab.settings.study import DemoData

SPLITS = ("train", "validation", "test", "synthetic")


def crowd(demo: DemoData, factors: Factors) -> dict[str, list[Person]]:
    """The people of every split, group by group."""
    counts = (demo.train_identities, demo.validation_identities, demo.test_identities, demo.synthetic_identities)
    return {
        split: draw_people(factors, demo.seed, demo.groups, split, number, count)
        for number, (split, count) in enumerate(zip(SPLITS, counts, strict=True))
    }


def pictures_of(demo: DemoData, person: Person) -> int:
    """Pictures of a person."""
    return demo.train_images if person.split in ("train", "synthetic") else demo.test_images


def dice(person: Person, picture: int) -> np.random.Generator:
    """What decides a picture of a person: first its shot, then what the camera spoils."""
    return generator(*person.seed, 8, picture)
