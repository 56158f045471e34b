"""Traits from end to end: imported, measured, listed and removed, by the command and in Python; wrong tables in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fairlab import Lab
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.pixel_traits import MEANINGS
from fairlab.data.traits import traits_of
from fairlab.errors import FairLabError
from fairlab.storage.people.forget import forget
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.data.shared_sets import data_of


@pytest.fixture
def faces(lab: Workspace) -> Dataset:
    return data_of(lab.dataset("faces"), {"a": ("X", 2), "b": ("X", 1), "c": ("Y", 3)}, px=16)


def csv(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.usefixtures("here")
def test_by_the_command(lab: Workspace, faces: Dataset, tmp_path: Path) -> None:
    """Imported by place and by number, measured, listed in every group, removed; the data stay the same data."""
    file = csv(
        tmp_path / "ofiq.csv", "path,UnifiedQualityScore,yaw\nX/a/0.png,80,-3.5\nX/a/1.png,60,\nY/c/2.png,20,9\n"
    )
    told = command(lab.home, "data", "traits", "faces", file, "--dry-run")
    assert (told.returncode, told.stdout) == (
        0, "UnifiedQualityScore of 3 images, yaw of 2 images; nothing is written yet\n",
    )  # fmt: skip
    assert "traits" not in open_dataset(faces.folder).info
    rows = json.loads(command(lab.home, "data", "traits", "faces", file, "--json").stdout)
    of_x = next(row for row in rows if (row["trait"], row["group"]) == ("UnifiedQualityScore", "X"))
    assert (of_x["images"], of_x["unknown"], of_x["median"], of_x["origin"]) == (2, 1, 70.0, "ofiq.csv")
    again = csv(tmp_path / "more.csv", "image_id,yaw\n0,1\n5,2\n")
    assert command(lab.home, "data", "traits", "faces", again).returncode == 0
    assert command(lab.home, "data", "traits", "faces", "--measure").returncode == 0
    table = Lab(lab.home).data["faces"].traits.table()
    assert list(table) == ["UnifiedQualityScore", "yaw", *MEANINGS]
    np.testing.assert_array_equal(table["yaw"], [1, np.nan, np.nan, np.nan, np.nan, 2])
    assert table[list(MEANINGS)].notna().all().all()
    assert open_dataset(faces.folder).fingerprint == faces.fingerprint
    assert command(lab.home, "data", "traits", "faces", "--remove", "yaw").returncode == 0
    assert "yaw" not in Lab(lab.home).data["faces"].traits.names
    assert command(lab.home, "data", "traits", "faces", "--remove", "yaw").returncode != 0


def test_a_set_by_recipe_borrows_them_and_forgetting_takes_them_along(lab: Workspace, faces: Dataset) -> None:
    handle = Lab(lab.home)
    handle.data["faces"].traits.measure()
    before = handle.data["faces"].traits.table()
    handle.data.make("half", dataset="faces", groups=("Y",)).wait()
    mine = handle.data["half"].traits.table()
    assert mine["sharpness"].tolist() == before["sharpness"][open_dataset(lab.dataset("half")).borrowed()[1]].tolist()
    with pytest.raises(FairLabError, match="borrows its images and their traits"):
        handle.data["half"].traits.measure()
    forget(lab, "faces", ["b"])
    assert handle.data["faces"].traits.table()["sharpness"].tolist() == before["sharpness"].drop(2).tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,blur\nX/a/0.png,1\nX/a/1.png,much\n", "line 3: blur is 'much', expected a number"),
        ("path,blur\nX/a/0.png,1\nX/a/1.png,1\n", "'blur' is 1 in every row; a trait differs between images"),
        ("path,blur\nX/a/0.png,1\nX/a/0.png,2\n", "names the image of line 2 again"),
        ("path,blur\nX/a/9.png,1\n", "not an image of data set faces"),
        ("blur,noise\n1,2\n", "needs a column image_id, image or path"),
        ("path,identity\nX/a/0.png,a\n", "no column beside those that say which image it is"),
        ("path,Norm\nX/a/0.png,1\n", "has the name of a model's own trait"),
        ("path,blur\nX/a/0.png,inf\nX/a/1.png,1\n", "blur is inf; expected a finite number"),
    ],
)
def test_a_wrong_table_is_refused_and_nothing_is_kept(
    lab: Workspace, faces: Dataset, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(FairLabError, match=said):
        Lab(lab.home).data["faces"].traits.add(csv(tmp_path / "wrong.csv", text))
    assert traits_of(open_dataset(faces.folder)).names == ()
