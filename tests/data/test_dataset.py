from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import Damaged, FairLabError


def write(folder: Path, value: int = 7) -> Dataset:
    images = pd.DataFrame(
        {
            "image_id": [0, 1],
            "dataset": "two",
            "split": "test",
            "identity": ["Ann", "Bo"],
            "group": ["X", "Y"],
            "source": "real",
            "location": [0, 1],
            "attribute.Age": ["old", "young"],
        }
    )
    pairs = pd.DataFrame(
        {"pair_id": [0], "protocol": "test", "image_a": 0, "image_b": 1, "genuine": False, "group": "X", "fold": 0}
    )
    return write_dataset(
        folder,
        NewDataset(
            dataset_id="two",
            kind="demo",
            attribute="Shape",
            groups=("Y", "X"),
            images=images,
            pairs=pairs,
            pixels=np.full((2, 4, 4, 3), value, np.uint8),
            recipe={"seed": 1},
        ),
    )


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Tables, pixels, group order and the group attribute's name come back; pixels cannot be written by
    accident.
    """
    write(tmp_path / "two")
    found = open_dataset(tmp_path / "two", verify=True)
    assert found.groups == ("Y", "X")
    assert (found.dataset_id, found.attribute, found.image_px) == ("two", "Shape", 4)
    assert found.images["attribute.Age"].tolist() == ["old", "young"]
    assert len(found.pairs_of("test")) == 1
    assert found.pairs_of("validation").empty
    assert (found.pixels == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        found.pixels[0] = 0


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """The same content gives the same fingerprint wherever it lies; one changed value gives another."""
    first, same, other = write(tmp_path / "a"), write(tmp_path / "b"), write(tmp_path / "c", value=8)
    assert first.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", ["pixels.npy", "images.parquet", "pairs.parquet", "dataset.json"])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    """Verification names the file whose content is not what was recorded."""
    write(tmp_path / "two")
    path = tmp_path / "two" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=name):
        open_dataset(tmp_path / "two", verify=True)


def test_a_missing_data_set_is_said(tmp_path: Path) -> None:
    """The message names what was asked for."""
    with pytest.raises(FairLabError, match="'nowhere'"):
        open_dataset(tmp_path / "nowhere")


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    """Cut files raise our error when they are read, also without verification."""
    write(tmp_path / "two")
    for name in ("pixels.npy", "images.parquet"):
        (tmp_path / "two" / name).write_bytes(b"PAR1 or not")
    found = open_dataset(tmp_path / "two")
    with pytest.raises(Damaged, match="pixels"):
        _ = found.pixels
    with pytest.raises(Damaged, match="images"):
        _ = found.images


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in the middle, neither the data set nor a temporary folder remains, and it is
    said.
    """

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fairlab.data.dataset.np.save", full)
    with pytest.raises(FairLabError, match="disk is full"):
        write(tmp_path / "two")
    assert list(tmp_path.iterdir()) == []


def test_pixels_must_fit_the_table(tmp_path: Path) -> None:
    """A pixel array of another length or type is a programming error."""
    with pytest.raises(ValueError, match="uint8"):
        write_dataset(
            tmp_path / "x",
            NewDataset(
                dataset_id="x",
                kind="demo",
                attribute="A",
                groups=("X",),
                images=pd.DataFrame({"image_id": [0]}),
                pairs=pd.DataFrame(),
                pixels=np.zeros((1, 4, 4, 3)),
                recipe={},
            ),
        )
