from __future__ import annotations

import numpy as np
import pytest

from fairlab.data.demo.build import Studio
from fairlab.data.demo.people import TEXTURE
from fairlab.data.demo.texture import HEIGHT, WIDTH, Skin, paint

PLAIN = dict.fromkeys(TEXTURE, 0.0) | {"moles": -9.0}


def painted(studio: Studio, **factors: float) -> Skin:
    return paint(PLAIN | factors, (1, 2), studio.head, studio.atlas)


def face_of(skin: Skin, studio: Studio) -> np.ndarray:
    return skin.texture[studio.atlas.face]


def difference(studio: Studio, name: str, value: float) -> np.ndarray:
    """By how much a factor darkens each texel of the face (rows, columns)."""
    change = face_of(painted(studio), studio)[..., :3] - face_of(painted(studio, **{name: value}), studio)[..., :3]
    summed: np.ndarray = change.sum(-1)
    return summed


def test_colours_are_colours(studio: Studio) -> None:
    """Whatever the factors, linear RGB and the share of hair stay in 0..1."""
    for value in (-4.5, 0.0, 4.5):
        texture = painted(studio, **dict.fromkeys(TEXTURE, value)).texture
        assert texture.shape == (HEIGHT, WIDTH, 4)
        assert texture.dtype == np.float32
        assert texture.min() >= 0.0
        assert texture.max() <= 1.0


def test_the_same_person_has_the_same_skin(studio: Studio) -> None:
    """And another seed puts the moles elsewhere."""
    first, again = painted(studio, moles=3.0), painted(studio, moles=3.0)
    assert (first.texture == again.texture).all()
    other = paint(PLAIN | {"moles": 3.0}, (1, 3), studio.head, studio.atlas)
    assert not np.allclose(first.texture, other.texture)


def test_tone_darkens_all_skin(studio: Studio) -> None:
    """From light to dark in the order of the factor, everywhere on the face."""
    light, middle, dark = (painted(studio, tone=tone).texture[..., 1].mean() for tone in (-2.0, 0.0, 2.0))
    assert light > 1.3 * middle > 1.3 * 1.3 * dark


@pytest.mark.parametrize(
    ("factor", "x", "y"),
    [
        ("brow_width", 0.45, 0.5),
        ("eye_shadow", 0.48, -0.25),
        ("cheek_red", 0.72, -0.5),
        ("nose_red", 0.0, -0.6),
        ("beard", 0.8, -1.1),
    ],
)
def test_a_factor_paints_its_place(studio: Studio, factor: str, x: float, y: float) -> None:
    """What it darkens lies around the place of the face it is named after, on both sides alike."""
    atlas = studio.atlas
    change = np.maximum(difference(studio, factor, 2.5), 0.0)
    middle_x, middle_y = (np.abs(atlas.x) * change).sum() / change.sum(), (atlas.y * change).sum() / change.sum()
    assert middle_x == pytest.approx(x, abs=0.32)
    assert middle_y == pytest.approx(y, abs=0.3)
    left, right = change[atlas.x < 0].sum(), change[atlas.x > 0].sum()
    assert left == pytest.approx(right, rel=0.25)


def test_hair_grows_above_the_hairline(studio: Studio) -> None:
    """A lower hairline gives more hair; hair lifts only vertices of the skull; only long hair hangs."""
    low, high = painted(studio, hairline=-2.0), painted(studio, hairline=2.0)
    assert low.texture[..., 3].sum() > high.texture[..., 3].sum()
    assert low.hair_rise[studio.head.mean[:, 1] < 0.1].max() == 0.0
    assert low.hair_rise.max() > 0.05
    assert painted(studio, hair_length=-1.0).hair_length == 0.0
    assert painted(studio, hair_length=1.0).hair_length > 0.5
