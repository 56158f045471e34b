"""RFW's training part: one group of people in folders, three without labels, and the corrected list of landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab.data.listing import Listing, detect_kind
from fairlab.data.readers.transferface import Transferface
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.settings.study import Source
from tests.data.trees import LMK, face, grouped, rfw


def line(name: str, shift: float) -> str:
    return f"{name}\t0\t" + "\t".join(f"{value:.2f}" for value in (LMK + shift).ravel()) + "\n"


def tree(root: Path) -> Path:
    """Two people of two images in Caucasian, two images each in African and Asian."""
    lists: dict[str, str] = {}
    for person in ("m.01", "m.02"):
        for number in (1, 2):
            name = f"{person}/{person}_{number:04d}.jpg"
            face(root / "train" / "data" / "Caucasian" / name, len(lists) + number, px=16)
            lists["Caucasian"] = lists.get("Caucasian", "") + line(f"/train/data/Caucasian/{name}", number)
    for group in ("African", "Asian"):
        for number in (1, 2):
            face(root / "train" / "data" / group / f"{number:06d}.jpg", number, px=16)
            lists[group] = lists.get(group, "") + line(f"/train/data/{group}/{number:06d}.jpg", 10 + number)
    for group, text in lists.items():
        (root / "train" / "txts" / group).mkdir(parents=True)
        (root / "train" / "txts" / group / f"{group}_lmk.txt").write_text(text)
    (root / "erratum1").mkdir()
    (root / "erratum1" / "Caucasian_lmk.txt").write_text(
        lists["Caucasian"].replace("38.30", "0").replace("39.30", "99")
    )
    return root


def listing(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return Transferface().listing(path, source, lambda _d, _t: None, lambda: False)


@pytest.mark.parametrize("below", ["", "train"])
def test_images_identities_groups_and_landmarks(tmp_path: Path, below: str) -> None:
    root = tree(tmp_path) / below
    assert detect_kind(root) == ("transferface", f"data/ with labelled and unlabelled groups in {tmp_path / 'train'}")
    found = listing(root)
    assert found.images["location"].tolist() == [
        "African/000001.jpg", "African/000002.jpg", "Asian/000001.jpg", "Asian/000002.jpg",
        "Caucasian/m.01/m.01_0001.jpg", "Caucasian/m.01/m.01_0002.jpg",
        "Caucasian/m.02/m.02_0001.jpg", "Caucasian/m.02/m.02_0002.jpg",
    ]  # fmt: skip
    assert found.attribute == "Ethnicity"
    assert found.images["group"].tolist() == ["African"] * 2 + ["Asian"] * 2 + ["Caucasian"] * 4
    assert found.images.groupby("group")["identity"].nunique().to_dict() == {"African": 2, "Asian": 2, "Caucasian": 2}
    assert found.images["identity"].str.rpartition("/")[2].nunique() == 6  # as the report compares groups
    assert found.landmarks is not None
    assert np.allclose(found.landmarks[3], np.round(LMK + 12, 2))
    assert found.landmarks[4, 0].tolist() == [99.0, 52.7]  # the erratum's, not the list's in txts/
    assert any("take the groups with labels only: Caucasian" in note for note in found.notes)
    assert [str(item) for item in found.problems] == []
    read = Transferface().opener(root, found.images["location"].tolist())
    assert read(7) == (tmp_path / "train/data/Caucasian/m.02/m.02_0002.jpg").read_bytes()


def test_what_lacks_is_counted(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "train/data/Asian/000002.jpg").unlink()
    (root / "train/txts/African/African_lmk.txt").unlink()
    face(root / "train/data/Caucasian/m.01/deep/x.jpg", 1, px=16)
    found = listing(root)
    assert found.landmarks is not None
    lacks = np.isnan(found.landmarks).all(axis=(1, 2))
    assert found.images["location"][lacks].tolist() == ["African/000001.jpg", "African/000002.jpg"]
    said = [str(item) for item in found.problems]
    assert said == [
        "images at another depth, left out: 1 (Caucasian/m.01/deep/x.jpg)",
        "landmarks of Asian_lmk.txt without an image: 1 (train/data/Asian/000002.jpg)",
    ]
    (root / "train/txts/Asian/Asian_lmk.txt").write_text("x\n")
    with pytest.raises(Damaged, match=r"Asian_lmk\.txt, line 1: 1 fields, expected 12"):
        listing(root)


def test_other_trees_are_not_taken_for_it(tmp_path: Path) -> None:
    assert detect_kind(rfw(tmp_path / "rfw", people=2, px=16))[0] == "rfw"
    grouped(tmp_path / "set" / "data", px=16)
    assert detect_kind(tmp_path / "set")[0] == "folders"
    tree(tmp_path / "both")
    rfw(tmp_path / "both", people=2, px=16)
    assert detect_kind(tmp_path / "both")[0] == "rfw"
    assert detect_kind(tmp_path / "both" / "train")[0] == "transferface"
    with pytest.raises(FairLabError, match="has no folder data/ with images in one group"):
        listing(tmp_path / "rfw")
    root = tmp_path / "both" / "train"
    with pytest.raises(Stopped):
        Transferface().listing(root, Source(path=str(root)), lambda _d, _t: None, lambda: True)
