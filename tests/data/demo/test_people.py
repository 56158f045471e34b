from __future__ import annotations

import numpy as np
import pytest

from fairlab.data.demo.build import Studio
from fairlab.data.demo.people import COMMON, REGIONS, TEXTURE, draw_people, group_mean, likeness, list_factors, spread

GROUPS = ("One", "Two", "Three", "Four", "Five", "Six")


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_any_number_of_groups(studio: Studio, count: int) -> None:
    """Identities are unique over groups and splits, and every group has its people."""
    people = [
        person
        for number, split in enumerate(("train", "test"))
        for person in draw_people(studio.factors, 0, GROUPS[:count], split, number, 5)
    ]
    assert len({person.identity for person in people}) == len(people) == 10 * count
    assert {person.group for person in people} == set(GROUPS[:count])


def test_a_person_stays_when_others_come(studio: Studio) -> None:
    """More people or more groups leave the first ones as they are; another seed or split gives other people."""
    few = draw_people(studio.factors, 0, GROUPS[:1], "train", 0, 2)
    many = draw_people(studio.factors, 0, GROUPS[:3], "train", 0, 4)
    assert (few[1].factors == many[1].factors).all()
    for other in (
        draw_people(studio.factors, 1, GROUPS[:1], "train", 0, 2),
        draw_people(studio.factors, 0, GROUPS[:1], "train", 1, 2),
    ):
        assert not np.allclose(few[1].factors, other[1].factors)


def test_group_is_not_skin_colour(studio: Studio) -> None:
    """Tone, warmth, sex, age, weight, hair and all that tells populations apart have the same mean in every
    group.
    """
    names = np.array(studio.factors.names)
    for group in range(6):
        mean = group_mean(studio.factors, 0, group)
        for name in (
            "tone",
            "warmth",
            "macro-sex",
            "macro-age",
            "macro-weight",
            "forehead-nubian",
            "hair_colour",
            "l-eye-epicanthus",
        ):
            assert (mean[names == name] == 0.0).all()
        assert (spread(studio.factors, group)[np.isin(names, ("tone", "warmth"))] == 1.0).all()
    tones = np.array([
        [person.factors[names == "tone"][0] for person in draw_people(studio.factors, 0, (group,), "train", number, 300)]
        for number, group in enumerate(GROUPS[:2])
    ])  # fmt: skip
    assert np.abs(tones.mean(1)).max() < 0.2
    assert tones.std(1) == pytest.approx(1.0, abs=0.12)


def test_every_group_has_its_signature_region(studio: Studio) -> None:
    """Its people differ most there; groups 5, 6 ... take the regions in turn again, with another mean face."""
    region = studio.factors.region
    for group in range(6):
        width = spread(studio.factors, group)
        inside = region == group % len(REGIONS)
        outside = ~inside & (region != COMMON)
        assert width[inside].min() > 3 * width[outside].max()
    first, fifth = group_mean(studio.factors, 0, 0), group_mean(studio.factors, 0, 4)
    assert not np.allclose(first, fifth)


def test_people_spread_as_they_should(studio: Studio) -> None:
    """The drawn factors have their group's mean and, but for the bent ends, its spread."""
    people = draw_people(studio.factors, 0, GROUPS[:1], "train", 0, 600)
    drawn = np.stack([person.factors for person in people])
    mean, width = group_mean(studio.factors, 0, 0), spread(studio.factors, 0)
    assert np.abs(drawn.mean(0) - mean).max() < 0.35
    calm = (width < 1.0) & (np.abs(mean) < 0.3)  # elsewhere the ends are bent
    assert drawn.std(0)[calm] / width[calm] == pytest.approx(np.full(calm.sum(), 0.97), abs=0.1)
    assert np.abs(drawn).max() < 4.5


def test_factors_are_all_placed(studio: Studio) -> None:
    """One region for every factor; texture factors come by name."""
    factors = list_factors(studio.head)
    assert len(factors.names) == len(factors.region) == factors.shapes + len(TEXTURE)
    person = draw_people(factors, 0, GROUPS[:1], "train", 0, 1)[0]
    assert factors.texture(person)["tone"] == person.factors[factors.names.index("tone")]


def test_likeness_sees_skin_tone_first(studio: Studio) -> None:
    """A difference in tone counts more than the same difference of a nose: hard impostors share the tone."""
    person = draw_people(studio.factors, 0, GROUPS[:1], "train", 0, 1)[0]
    ratio = likeness(studio.factors, [person])[person.identity] / person.factors
    names = list(studio.factors.names)
    assert ratio[names.index("tone")] > 5 * ratio[names.index("nose-hump")]
