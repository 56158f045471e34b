"""Who lives in the demo world: factors of faces, groups with their own mean face and signature region.

Group is not skin colour, sex, age or weight: those vary in the same way in every group, and so does
everything that the face targets took from real populations. What differs is arbitrary: a random mean face,
and the region of the face in which a group's people differ most, so that a network that knows one group looks
in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlab.data.demo.head import Head

REGIONS = ("eyes and brows", "nose and cheeks", "mouth and chin", "head, ears and hair")
COMMON = -1  # a factor of no region

# Of a group's factors in its signature region, chosen so that every region tells about as much as another.
_SPREAD = (1.6, 2.3, 2.3, 1.0)
_SPREAD_ELSEWHERE, _SPREAD_COMMON, _MEAN_SPREAD, _CLIP, _LIMIT = 0.25, 0.7, 0.7, 2.2, 4.0
_SHAPE_REGION = {
    "eyes": 0, "eyebrows": 0, "nose": 1, "cheek": 1, "mouth": 2, "chin": 2,
    "head": 3, "forehead": 3, "ears": 3, "macro": COMMON,
}  # fmt: skip
_ASYMMETRY_REGION = {
    "brown": 0, "eye": 0, "cheek": 1, "nose": 1, "jaw": 2, "mouth": 2, "ear": 3, "temple": 3, "top": 3,
}  # fmt: skip

TEXTURE = {
    "tone": COMMON, "warmth": COMMON, "moles": COMMON, "spots": COMMON, "gloss": COMMON,
    "brow_colour": 0, "brow_height": 0, "brow_width": 0, "brow_length": 0, "brow_arch": 0,
    "iris": 0, "eye_shadow": 0,
    "freckles": 1, "pigment": 1, "cheek_red": 1, "nose_red": 1, "cheek_shade": 1, "nose_shade": 1,
    "lip_colour": 2, "lip_depth": 2, "beard": 2, "moustache": 2, "chin_shade": 2, "mouth_shade": 2,
    "hairline": 3, "temples": 3, "hair_colour": 3, "hair_volume": 3, "hair_length": 3,
}  # fmt: skip
"""Factors of the skin, and the region of each."""

_SEEN = {
    "tone": 15.0, "warmth": 4.0, "hair_colour": 8.0, "hair_length": 5.0, "hairline": 5.0, "beard": 2.0, "macro-sex": 2.0,
}  # fmt: skip
_SAME_IN_ALL = ("tone", "warmth", "gloss")
_NEUTRAL = (
    "nubian", "epicanthus", "eyefold", "flaring", "nose-width", "nostrils", "nose-scale-horiz", "point-width",
    "lip-", "lips", "angle", "eye", "arch", "macro", "tone", "warmth", "colour", "iris", "beard", "moustache",
    "red", "shade", "freckles", "pigment", "hair",
)  # fmt: skip
"""Words of factors whose mean is the same in every group, so that no group's mean face is a stereotype: what
tells real populations apart, and what would make a whole group look angry or sad.
"""


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist. `factors` (F,) are in natural standard deviations; `seed` draws their
    moles.
    """

    identity: str
    group: str
    split: str
    factors: np.ndarray
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Factors:
    """The list of all factors: those of the shape, in the head's order, then those of the texture."""

    names: tuple[str, ...]
    region: np.ndarray
    shapes: int

    def texture(self, person: Person) -> dict[str, float]:
        """The person's texture factors by name."""
        return dict(zip(self.names[self.shapes :], person.factors[self.shapes :].tolist(), strict=True))


def list_factors(head: Head) -> Factors:
    """All factors of `head` with the region of each: an index of REGIONS, or COMMON."""
    region = [
        _ASYMMETRY_REGION[name.split("-")[1]] if of == "asym" else _SHAPE_REGION[of]
        for name, of in zip(head.names, head.regions, strict=True)
    ]
    return Factors((*head.names, *TEXTURE), np.array([*region, *TEXTURE.values()]), len(head.names))


def generator(*numbers: int) -> np.random.Generator:
    """Random numbers that depend on nothing but `numbers`, whoever asks and in whatever order."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(numbers)))


def group_mean(factors: Factors, seed: int, group: int) -> np.ndarray:
    """The mean factors (F,) of group number `group`: random, but nought where the group could look like a
    stereotype.
    """
    mean = np.clip(generator(seed, 1, group).standard_normal(len(factors.names)), -_CLIP, _CLIP) * _MEAN_SPREAD
    mean[[any(word in name for word in _NEUTRAL) for name in factors.names]] = 0.0
    mean[factors.region == COMMON] = 0.0
    return mean


def spread(factors: Factors, group: int) -> np.ndarray:
    """How much the people of group number `group` differ in each factor (F,), in natural standard deviations."""
    signature = group % len(REGIONS)  # with more groups than regions, groups share one and differ in their mean face
    result = np.where(factors.region == signature, _SPREAD[signature], _SPREAD_ELSEWHERE)
    result[factors.region == COMMON] = _SPREAD_COMMON
    result[[name in _SAME_IN_ALL for name in factors.names]] = 1.0
    return result


def draw_people(
    factors: Factors, seed: int, groups: tuple[str, ...], split: str, number: int, count: int
) -> list[Person]:
    """`count` people of every group for the split called `split` with number `number`, group by group.

    A person depends on seed, split, group and their own number only: more people leave the first ones as they
    are.
    """
    people = []
    for index, group in enumerate(groups):
        mean, width = group_mean(factors, seed, index), spread(factors, index)
        for person in range(count):
            key = (seed, 2, number, index, person)
            draw = np.clip(generator(*key).standard_normal(len(mean)), -_CLIP, _CLIP)
            people.append(
                Person(f"{group} {split} {person:03d}", group, split, _within_limit(mean + width * draw), key)
            )
    return people


def likeness(factors: Factors, people: list[Person]) -> dict[str, np.ndarray]:
    """Where each identity stands (F,) when asked who looks like whom: factors, weighted by how much the eye
    sees them.

    Without the weights, impostors would mostly differ in skin tone or hair, and telling them apart would be
    easy.
    """
    weight = np.array([_SEEN.get(name, 1.0) for name in factors.names])
    return {person.identity: person.factors * weight for person in people}


def _within_limit(factors: np.ndarray) -> np.ndarray:
    """Bend the rare far ends back to +-_LIMIT, where faces would become caricatures; small values stay as
    they are.
    """
    return _LIMIT * np.tanh(factors / _LIMIT)
