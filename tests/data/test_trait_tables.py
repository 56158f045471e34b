"""Tables of traits: what is read, and one sentence with file, line and column for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset
from fairlab.data.trait_tables import read_traits
from fairlab.errors import FairLabError
from tests.data.shared_sets import data_of

ROWS = {
    "places": "path,identity,yaw,scene\nX/a/0.png,a,-3.5,in\nY/b/1.png,b,12,out\nX/a/1.png,a,,\n",
    "numbers": "image_id,yaw,scene\n3,12,out\n0,-3.5,in\n",
    "decimal commas": "image;yaw;scene\nX/a/0.png;-3,5;in\nY/b/1.png;12,0;out\n",
}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})


def written(folder: Path, text: str) -> Path:
    path = folder / "traits.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", ROWS)
def test_a_table_is_read_in_every_form(form: str, data: Dataset, tmp_path: Path) -> None:
    """Numbers and texts, with gaps for images without a row or a cell; the column of people is no trait."""
    yaw, scene = read_traits(written(tmp_path, ROWS[form]), data)
    assert (yaw.name, yaw.source, yaw.numeric, scene.name, scene.numeric) == ("yaw", "table", True, "scene", False)
    assert np.array_equal(yaw.values, [-3.5, np.nan, np.nan, 12], equal_nan=True)
    assert scene.values.tolist() == ["in", "", "", "out"]


def test_parquet_and_chosen_columns(data: Dataset, tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": [0, 1], "yaw": [1.0, 2.0], "constant": [1, 1]})
    table.to_parquet(tmp_path / "traits.parquet")
    (yaw,) = read_traits(tmp_path / "traits.parquet", data, ["yaw"])
    assert np.array_equal(yaw.values, [1, 2, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("form", ["path", "image_id"])
def test_rows_of_other_images_can_be_left_out(form: str, data: Dataset, tmp_path: Path) -> None:
    """As of a picture that could not be read; a table of other images alone is refused all the same."""
    names = {"path": ("X/a/0.png", "X/a/broken.png", "Y/b/1.png"), "image_id": (0, 99, 3)}[form]
    rows = zip(names, (1, 2, 3), ("in", "no", "out"), strict=True)
    path = written(tmp_path, f"{form},yaw,scene\n" + "".join(f"{name},{yaw},{scene}\n" for name, yaw, scene in rows))
    with pytest.raises(FairLabError, match="line 3"):
        read_traits(path, data)
    yaw, scene = read_traits(path, data, skip_unknown=True)
    assert np.array_equal(yaw.values, [1, np.nan, np.nan, 3], equal_nan=True)
    assert scene.values.tolist() == ["in", "", "", "out"]
    path.write_text(f"{form},yaw\n{names[1]},1\n")
    with pytest.raises(FairLabError, match="no row names an image of data set faces"):
        read_traits(path, data, skip_unknown=True)


WRONG = {
    "mixed, mostly numbers": (
        "image_id,yaw\n0,1\n1,left\n2,3\n",
        "traits.csv, line 3: yaw is 'left', expected a number",
    ),
    "mixed, mostly texts": (
        "image_id,age\n0,3-9\n1,7\n2,70+\n",
        "traits.csv, line 3: age is the number 7 and '3-9' elsewhere; expected all numbers or all texts",
    ),
    "constant number": (
        "image_id,age\n0,3\n1,3\n",
        "the column 'age' is '3' in every row that has a value, which tells nothing",
    ),
    "constant text": ("image_id,age\n0,old\n1,old\n2,\n", "the column 'age' is 'old' in every row that has a value"),
    "empty": ("image_id,yaw,age\n0,1,\n1,2,\n", "the column 'age' is empty; leave it out"),
    "a name twice": ("image_id,yaw,yaw\n0,1,1\n1,2,2\n", "the column 'yaw' appears more than once"),
    "an image twice": (
        "image_id,yaw\n0,1\n1,2\n0,3\n",
        "line 4: image_id names the image of line 2 again; expected one row",
    ),
    "an unknown image": (
        "path,yaw\nX/a/0.png,1\nX/a/9.png,2\n",
        "line 3: path is 'X/a/9.png', which is not an image of",
    ),
    "an unknown number": ("image_id,yaw\n0,1\n4,2\n", "line 3: image_id is 4, and data set faces has images 0 to 3"),
    "no image": ("who,yaw\na,1\nb,2\n", "needs a column image_id, image or path; it has: who, yaw"),
    "no trait": ("image_id,path\n0,x\n1,y\n", "has no column of a trait beside its images"),
    "infinite": ("image_id,yaw\n0,1\n1,inf\n", "line 3: yaw is inf; expected a finite number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_table_is_one_sentence(what: str, data: Dataset, tmp_path: Path) -> None:
    text, message = WRONG[what]
    with pytest.raises(FairLabError, match=re.escape(message)):
        read_traits(written(tmp_path, text), data)
    with pytest.raises(FairLabError, match=r"there is no file .*none.csv; expected a CSV or parquet table of traits"):
        read_traits(tmp_path / "none.csv", data)
