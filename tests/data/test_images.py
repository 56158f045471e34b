from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fairlab.data.dataset import Dataset
from fairlab.data.images import contact_sheet, mean_face, thumbnail_png
from fairlab.errors import FairLabError


def test_a_thumbnail_is_a_png_of_the_asked_size(tiny: Dataset) -> None:
    picture = Image.open(io.BytesIO(thumbnail_png(tiny, 3, 40)))
    assert (picture.format, picture.size) == ("PNG", (40, 40))
    exact = np.asarray(Image.open(io.BytesIO(thumbnail_png(tiny, 3, tiny.image_px))))
    assert (exact == tiny.pixels[3]).all()


@pytest.mark.parametrize("image_id", [-1, 10**6])
def test_an_unknown_image_is_said(tiny: Dataset, image_id: int) -> None:
    with pytest.raises(FairLabError, match=f"no image {image_id}"):
        thumbnail_png(tiny, image_id)


def test_the_mean_face_is_the_mean(tiny: Dataset) -> None:
    """Of all images of the group when they are few; an unknown group is named."""
    rows = (tiny.images["group"] == "South").to_numpy()
    expected = tiny.pixels[rows].astype(np.float64).mean(0)
    assert np.abs(mean_face(tiny, "South") - expected).max() <= 0.51
    with pytest.raises(FairLabError, match="'West'"):
        mean_face(tiny, "West")


def test_a_contact_sheet_puts_images_in_rows(tiny: Dataset) -> None:
    """Image 4 of a sheet with 3 columns begins the second row; places left over are grey."""
    px = tiny.image_px
    sheet = contact_sheet(tiny, [5, 6, 7, 8], columns=3)
    assert sheet.shape == (2 * px, 3 * px, 3)
    assert (sheet[px:, :px] == tiny.pixels[8]).all()
    assert (sheet[:px, 2 * px :] == tiny.pixels[7]).all()
    assert (sheet[px:, px:] == 128).all()
