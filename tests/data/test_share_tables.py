"""Tables of soft group shares: the forms that are read, and one sentence with file, line and column for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset
from fairlab.data.share_tables import read_shares
from fairlab.errors import FairLabError
from tests.data.shared_sets import data_of

OF_X = [0.9, 0.75, 0.2, 0.1]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})


def written(folder: Path, text: str, name: str = "shares.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


ROWS = {
    "where an image is": "path,share/X,share/Y\nX/a/0.png,.9,.1\nX/a/1.png,.75,.25\nY/b/0.png,.2,.8\nY/b/1.png,.1,.9\n",
    "its number": "image_id,share/X,share/Y\n3,.1,.9\n2,.2,.8\n1,.75,.25\n0,.9,.1\n",
    "groups' own names": "file,Y,guess,X\nX/a/0.png,.1,X,.9\nX/a/1.png,.25,X,.75\nY/b/0.png,.8,Y,.2\nY/b/1.png,.9,Y,.1\n",
    "semicolons and decimal commas": "image;share/X;share/Y\nX/a/0.png;0,9;0,1\nX/a/1.png;0,75;0,25\nY/b/0.png;0,2;0,8\nY/b/1.png;0,1;0,9\n",
    "Windows paths": "image,share/x,Share/Y\nX\\a\\0.png,.9,.1\nX\\a\\1.png,.75,.25\nY\\b\\0.png,.2,.8\nY\\b\\1.png,.1,.9\n",
}


@pytest.mark.parametrize("form", ROWS)
def test_a_table_is_read_in_every_form(form: str, data: Dataset, tmp_path: Path) -> None:
    """Groups in the data's order and spelling; values as they are."""
    groups, values = read_shares(written(tmp_path, ROWS[form]), data)
    assert groups == ("X", "Y")
    assert values == pytest.approx(np.array([OF_X, [1 - share for share in OF_X]]).T, abs=1e-12)


def test_parquet_and_further_groups(data: Dataset, tmp_path: Path) -> None:
    """Groups of which the data know nothing come last; float32 adds up within the tolerance."""
    path = tmp_path / "shares.parquet"
    shares = np.array([[0.1, 0.3, 0.6]] * 4, np.float32)
    frame = pd.DataFrame(shares, columns=["share/Z", "share/Y", "share/X"])
    frame.assign(image=data.images["location"].astype(str)).to_parquet(path)
    groups, values = read_shares(path, data)
    assert groups == ("X", "Y", "Z")
    assert values == pytest.approx(shares[:, ::-1].astype(float), abs=0)


def test_names_alone_where_they_are_different(tmp_path: Path) -> None:
    """File names, then names without their end; images without a row, or with empty cells, have no shares."""
    data = data_of(tmp_path / "faces", {"a": ("X", 3)})
    for text in ("image,X,Y\n2.png,.9,.1\n0.png,,\n", "image,X,Y\n2,.9,.1\n"):
        _, values = read_shares(written(tmp_path, text), data)
        assert np.isnan(values).all(1).tolist() == [True, True, False]
        assert values[2].tolist() == [0.9, 0.1]


HEAD = "path,share/X,share/Y\nX/a/0.png,.9,.1\n"
WRONG = {
    HEAD + "X/a/1.png,.5,.4\n": r"shares.csv, line 3: share/X \+ share/Y is 0.9, expected 1 \(within 0.005\)",
    HEAD + "X/a/1.png,.5,half\nY/b/0.png,.2,.8\n": "shares.csv, line 3: share/Y is 'half', expected a number",
    "path,share/X,share/Y\nX/a/0.png,a lot,little\n": "shares.csv, line 2: share/X is 'a lot', expected a number from 0 to 1",
    HEAD + "X/a/1.png,1.2,-.2\n": "shares.csv, line 3: share/X is 1.2, expected a number from 0 to 1",
    HEAD + "X/a/1.png,nan,nan\n": "shares.csv, line 3: share/X is nan",
    HEAD + "X/a/1.png,.5,\n": "shares.csv, line 3: share/Y is empty and others are not; expected all or none",
    HEAD + "X/c/7.png,.5,.5\n": "shares.csv, line 3: path is 'X/c/7.png', which is not an image of data set faces",
    HEAD + "Y/b/0.png,.5,.5\nX/a/0.png,.9,.1\n": "shares.csv, line 4: path names the image of line 2 again",
    "image_id,share/X,share/Y\n4,.5,.5\n": "line 2: image_id is 4, and data set faces has images 0 to 3",
    "image_id,share/X,share/Y\n1.5,.5,.5\n": "line 2: image_id is 1.5, and data set faces has images 0 to 3",
    "image_id,share/X,share/Y\n-1,.5,.5\n": "line 2: image_id is -1, and data set faces has images 0 to 3",
    "image,share/X,share/Y\n0.png,.5,.5\n": "line 2: image is '0.png', the name of several images of data set faces",
    "path,share/X\nX/a/0.png,1\n": "has shares of 1 group; expected columns share/<group> of two or more",
    "path,X\nX/a/0.png,1\n": "needs columns share/<group>, or one for each group of data set faces; it lacks 'Y'",
    "path,share/X,share/x\nX/a/0.png,.5,.5\n": "the columns 'share/X' and 'share/x' are both of the group 'X'",
    "path,share/X,share/all\nX/a/0.png,.5,.5\n": "a group is called 'all', which FairLab uses",
    "name,share/X,share/Y\nX/a/0.png,.5,.5\n": "needs a column image_id, image or path; it has: name, share/X, share/Y",
    "path,share/X,share/Y\nX/a/0.png,.5\n": r"shares.csv, line 2: 2 cells, expected 3",
    "path,share/X,share/Y\nX/a/0.png,,\n": "share/X is empty in every row|has no row with shares",
    "path,share/X,share/Y\n": "shares.csv has no rows",
    "": "shares.csv is empty",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_one_sentence(text: str, data: Dataset, tmp_path: Path) -> None:
    """File, line and column, and what is expected."""
    with pytest.raises(FairLabError, match=WRONG[text]) as caught:
        read_shares(written(tmp_path, text), data)
    assert "\n" not in str(caught.value)


def test_no_file_no_text_no_table(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match=r"there is no file .*/none.csv"):
        read_shares(tmp_path / "none.csv", data)
    with pytest.raises(FairLabError, match="there is no file"):
        read_shares(tmp_path, data)
    (tmp_path / "bytes.csv").write_bytes(b"path,share/X,share/Y\n\xff\xfe\x00")
    with pytest.raises(FairLabError, match=r"bytes.csv"):
        read_shares(tmp_path / "bytes.csv", data)
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(FairLabError, match=r"no.parquet cannot be read as a parquet file"):
        read_shares(tmp_path / "no.parquet", data)


def test_shares_of_three_decimals_add_up(data: Dataset, tmp_path: Path) -> None:
    """Within 0.005, and no value is changed for it."""
    path = written(tmp_path, "image_id,share/X,share/Y\n0,.333,.663\n")
    assert read_shares(path, data)[1][0].tolist() == [0.333, 0.663]
