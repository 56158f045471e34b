"""What the generator chose for every picture of the demo faces, as traits: known truth to check an analysis of causes by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.data.demo.crowd import SPLITS, crowd, dice, pictures_of
from fairlab.data.demo.head import Head, load_head
from fairlab.data.demo.people import Person, list_factors
from fairlab.data.demo.scene import Shot, draw_shot, style
from fairlab.data.traits import Trait
from fairlab.settings.study import DemoData, parse

FACTORS: dict[str, tuple[str, Callable[[Shot], float]]] = {
    "pose": (
        "head turned further from the camera, in degrees",
        lambda shot: float(np.degrees(np.arccos(np.clip((np.trace(shot.rotation) - 1) / 2, -1, 1)))),
    ),
    "light": ("stronger key light", lambda shot: float(shot.lights[1].mean())),
    "side light": (
        "key light further to the side, in degrees",
        lambda shot: float(np.degrees(np.arctan2(abs(shot.lights[0, 0]), shot.lights[0, 2]))),
    ),
    "expression": ("stronger expression: sum of its units' weights", lambda shot: float(shot.weights.sum())),
    "blur": ("more blur: its standard deviation in % of the picture's width", lambda shot: 100 * shot.blur),
    "occlusion": (
        "more in front of the face, in % of the picture",
        lambda shot: 0.0 if shot.patch is None else float(100 * shot.patch[2] * shot.patch[3]),
    ),
    "noise": ("more noise: its standard deviation, colours being 0..1", lambda shot: shot.noise),
}
"""Name -> (what a larger value means, its value in a shot)."""


def factors_of(demo: DemoData, head: Head) -> np.ndarray:
    """(N, factors) of all pictures of the demo data with these settings, in their order; nothing is rendered."""
    rows = []
    for person in _everybody(demo, head):
        for picture in range(pictures_of(demo, person)):
            shot = draw_shot(dice(person, picture), head, demo.level, *style(person.split))
            rows.append([value(shot) for _, value in FACTORS.values()])
    return np.array(rows, np.float64).reshape(-1, len(FACTORS))


def _everybody(demo: DemoData, head: Head) -> list[Person]:
    people = crowd(demo, list_factors(head))
    return [person for split in SPLITS for person in people[split]]


def as_traits(values: np.ndarray) -> list[Trait]:
    """Traits of factors_of(); one that is the same in every picture tells nothing and is left out."""
    return [
        Trait(name, "generator", meaning, np.ascontiguousarray(column))
        for (name, (meaning, _)), column in zip(FACTORS.items(), values.T, strict=True)
        if len(column) and np.ptp(column) > 0
    ]


def traits_again(data: Dataset) -> list[Trait]:
    """The generator's traits of demo data that are here already; [] of other data, and where pictures are gone since."""
    if data.info.get("kind") != "demo":
        return []
    demo, head = parse(DemoData, dict(data.info["recipe"]), "recipe"), load_head()
    people = [person for person in _everybody(demo, head) for _ in range(pictures_of(demo, person))]
    drawn = [(person.split, person.identity) for person in people]
    have = list(zip(data.images["split"].astype(str), data.images["identity"].astype(str), strict=True))
    return as_traits(factors_of(demo, head)) if drawn == have else []
