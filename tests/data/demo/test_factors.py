"""The generator's factors as traits: those of the pictures that are there, without another pixel."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.data.dataset import Dataset
from fairlab.data.demo.factors import FACTORS, traits_again
from fairlab.data.demo.head import load_head
from fairlab.data.demo.people import generator
from fairlab.data.demo.scene import draw_shot
from fairlab.data.measured import measure
from fairlab.data.traits import traits_of


def test_they_are_kept_with_the_demo_and_come_again(tiny: Dataset) -> None:
    """Every factor, of every picture; drawn anew from the settings they are the same."""
    kept, again = traits_of(tiny), traits_again(tiny)
    assert list(kept) == list(FACTORS) == [trait.name for trait in again]
    for trait in again:
        assert trait.source == kept[trait.name].source == "generator"
        assert np.array_equal(trait.values, kept[trait.name].values)


def test_they_are_those_of_the_pictures(tiny: Dataset) -> None:
    """A picture's factors are its shot's; blurred pictures are less sharp, strong light makes bright ones."""
    traits = traits_of(tiny)
    shot = draw_shot(
        generator(tiny.info["recipe"]["seed"], 2, 0, 0, 0, 8, 1), load_head(), tiny.info["recipe"]["level"]
    )
    assert traits["blur"].values[1] == pytest.approx(100 * shot.blur)
    assert traits["expression"].values[1] == pytest.approx(float(shot.weights.sum()), rel=1e-6)
    assert 0 <= traits["pose"].values.min() < traits["pose"].values.max() < 45
    patches = traits["occlusion"].values
    assert 0.05 < (patches > 0).mean() < 0.4
    assert patches[patches > 0].min() > 100 * 0.12 * 0.12
    measured = measure(np.asarray(tiny.pixels))
    blur, sharp = traits["blur"].values, np.log(measured[:, 0])
    assert sharp[blur > 1].mean() < sharp[blur == 0].mean() - 0.2
    assert np.corrcoef(traits["light"].values, measured[:, 3])[0, 1] > 0.2


def test_nothing_of_data_that_lost_pictures(tiny: Dataset) -> None:
    fewer = Dataset(tiny.folder, tiny.info)
    fewer.__dict__["images"] = tiny.images.iloc[1:]
    assert traits_again(fewer) == []
    assert traits_again(Dataset(tiny.folder, {**tiny.info, "kind": "records"})) == []
