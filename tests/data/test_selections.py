"""Saved selections: what is kept is what was chosen, and one sentence for each name, note, image or file that is wrong."""

from __future__ import annotations

import base64
import stat
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.recipes import build_recipe
from fairlab.data.selection_tables import read_ids
from fairlab.data.selections import (
    SELECTIONS,
    Chosen,
    Selection,
    delete_selection,
    inside,
    list_selections,
    open_selection,
    read_selection,
    save_selection,
)
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import read_json, remove_folder, write_json
from fairlab.settings.study import Recipe
from fairlab.tables import matches
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of

PEOPLE = {"a": ("X", 3), "b": ("Y", 2), "c": ("X", 1), "d": ("Y", 4)}


@pytest.fixture
def data(lab: Workspace) -> Dataset:
    return data_of(lab.dataset("faces"), PEOPLE, test=3)


def test_what_is_saved_comes_back_and_is_private(lab: Workspace, data: Dataset) -> None:
    """In any order and twice: once, rising. The file is its owner's alone."""
    made = save_selection(lab, data, "hard", np.array([9, 0, 4, 9]), " two\nlines ")
    found = read_selection(lab, "faces", "hard")
    assert found.ids.tolist() == [0, 4, 9]
    assert (found.note, found.people, found.hash) == ("two lines", 3, made.hash)
    assert stat.S_IMODE((lab.selections("faces") / "hard.json").stat().st_mode) == 0o600
    row = list_selections(lab).iloc[0]
    assert (row["dataset"], row["selection"], row["images"], row["identities"], row["state"]) == (
        "faces",
        "hard",
        3,
        3,
        "",
    )
    delete_selection(lab, "faces", "hard")
    assert list_selections(lab).empty
    assert matches(list_selections(lab), SELECTIONS)
    with pytest.raises(FairLabError, match="has no saved selection 'hard'; it has none"):
        delete_selection(lab, "faces", "hard")


def test_any_ids_come_back(lab: Workspace, data: Dataset) -> None:
    """Every subset of a large set, drawn at random, is the same after the file; a file of 20,000 stays small."""
    random = np.random.default_rng(0)
    images = pd.concat([data.images] * 2000, ignore_index=True)
    large = Dataset(data.folder, data.info)
    large.__dict__["images"] = images.assign(image_id=np.arange(len(images)))
    for number, share in enumerate((1.0, 0.5, 0.001)):
        ids = np.flatnonzero(random.random(len(images)) < share)
        save_selection(lab, large, f"s{number}", ids)
        assert np.array_equal(read_selection(lab, "faces", f"s{number}").ids, ids)
    assert (lab.selections("faces") / "s0.json").stat().st_size < 2000


@pytest.mark.parametrize(
    ("name", "ids", "note", "says"),
    [
        ("<b>x</b>", [0], "", "cannot be the name of a selection: use up to 100 letters, digits"),
        ("n" * 200, [0], "", "cannot be the name of a selection: use up to 100 letters"),
        ("", [0], "", "'' cannot be the name"),
        ("../../x", [0], "", "cannot be the name"),
        ("ok", [], "", "needs at least one image; this one has none"),
        ("ok", [13], "", "has images 0 to 12, and no image 13"),
        ("ok", [-1], "", "has images 0 to 12, and no image -1"),
        ("ok", [0.5], "", "images are named by whole numbers, not by float64"),
        ("ok", [0], "n" * 2001, "a note has up to 2,000 letters, this one has 2,001"),
        ("ok", [0], "a\x1b[2J", "the note holds a control character"),
    ],
)
def test_what_cannot_be_saved(lab: Workspace, data: Dataset, name: str, ids: list[float], note: str, says: str) -> None:
    with pytest.raises(FairLabError) as told:
        save_selection(lab, data, name, np.array(ids), note)
    assert says in str(told.value)
    assert list_selections(lab).empty


def test_a_name_is_taken_whatever_its_capitals(lab: Workspace, data: Dataset) -> None:
    save_selection(lab, data, "Hard", np.array([1]))
    with pytest.raises(Refused, match="faces already has a selection 'Hard': choose another name"):
        save_selection(lab, data, "hard", np.array([2]))
    assert read_selection(lab, "faces", "Hard").ids.tolist() == [1]


def test_the_four_sides_are_sets(lab: Workspace, data: Dataset) -> None:
    """Against plain sets of images and people."""
    picked = save_selection(lab, data, "some", np.array([1, 6]))
    people = {data.images["identity"].iloc[row] for row in (1, 6)}
    every = list(range(len(data.images)))
    of_them = [row for row in every if data.images["identity"].iloc[row] in people]
    expected = {
        "only": of_them,
        "without": [row for row in every if row not in of_them],
        "only_images": [1, 6],
        "without_images": [row for row in every if row not in (1, 6)],
    }
    for side, rows in expected.items():
        assert np.flatnonzero(inside(data, Chosen(picked, side))).tolist() == rows, side  # type: ignore[arg-type]
    with pytest.raises(FairLabError, match="a selection has the sides only, without"):
        Chosen(picked, "both")  # type: ignore[arg-type]


def test_it_outlives_its_data_and_knows_them_again(lab: Workspace, data: Dataset) -> None:
    """Gone: said. The same images again: used, also where pixels have changed. Others, or in another order: refused."""
    save_selection(lab, data, "hard", np.array([1, 6]))
    remove_folder(data.folder, lab.home)
    assert list_selections(lab)["state"].tolist() == ["its data set is gone"]
    assert read_selection(lab, "faces", "hard").ids.tolist() == [1, 6]
    again = data_of(lab.dataset("faces"), PEOPLE, px=16, test=3)
    assert again.fingerprint != data.fingerprint
    assert open_selection(lab, again, "hard").ids.tolist() == [1, 6]
    remove_folder(again.folder, lab.home)
    other = data_of(lab.dataset("faces"), dict(reversed(PEOPLE.items())), test=3)
    with pytest.raises(FairLabError, match="'hard' of data set faces cannot be used: it was saved of other data"):
        open_selection(lab, other, "hard")


def bomb() -> str:
    return base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"ids": "?"}, {"ids": bomb()}, {"images": 2}, {"ids": ""}, {"dataset": "other"}, {"selection": "other"},
        {"images": -1}, {"images": 10**12}, {"note": "n" * 3000},
    ],
    ids=lambda change: ",".join(change),
)  # fmt: skip
def test_a_damaged_file_is_refused_and_can_be_deleted(lab: Workspace, data: Dataset, change: dict[str, object]) -> None:
    """Nothing is unpacked beyond what the file says it has."""
    save_selection(lab, data, "hard", np.array([1, 6, 7]))
    path = lab.selections("faces") / "hard.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(Damaged, match=r"hard\.json"):
        read_selection(lab, "faces", "hard")
    assert "hard.json" in list_selections(lab)["state"].iloc[0]
    delete_selection(lab, "faces", "hard")


def test_an_id_beyond_the_data_is_not_used(lab: Workspace, data: Dataset) -> None:
    """A file that was changed by hand, though it fits the data otherwise."""
    made = save_selection(lab, data, "hard", np.array([1]))
    path = lab.selections("faces") / "hard.json"
    ids = base64.b64encode(zlib.compress(np.array([99], "<u4").tobytes())).decode()
    write_json(path, {**read_json(path), "ids": ids})
    assert made.fingerprint == data.fingerprint
    with pytest.raises(FairLabError, match="names image 99 of 13, so its file is damaged"):
        open_selection(lab, data, "hard")


ROWS = {
    "their numbers": ("image_id\n6\n1\n6\n", [1, 6]),
    "where they are": ("note,path\nx,X/a/1.png\ny,Y/d/0.png\n", [1, 6]),
    "people": ("subject\nb\nc\nb\n", [3, 4, 5]),
    "numbers before people": ("identity;image_id\na;1\n", [1]),
}


@pytest.mark.parametrize("form", ROWS)
def test_a_table_names_images_or_people(form: str, data: Dataset, tmp_path: Path) -> None:
    text, ids = ROWS[form]
    (tmp_path / "list.csv").write_text(text)
    assert read_ids(tmp_path / "list.csv", data).tolist() == ids


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("identity\na\nzz\nyy\n", r"has no person called '(zz|yy)' \(2 of 3 names are not there\)"),
        ("image_id\n1\n99\n", "line 3: image_id is 99, and data set faces has images 0 to 12"),
        ("path\nX/zz.png\n", "which is not an image of data set faces"),
        ("face\n1\n", "needs a column image_id, image or identity; it has: face"),
        ("image_id\n", "has no rows"),
    ],
)
def test_a_table_that_is_wrong(text: str, says: str, data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(FairLabError, match=says):
        read_ids(tmp_path / "list.csv", data)


def trained(lab: Workspace, **recipe: object) -> list[str]:
    """Where the images of a data set made by this recipe are from, as rows of the first."""
    build_recipe(Recipe(dataset="faces", **recipe), lab.dataset("made"), "made")  # type: ignore[arg-type]
    return open_dataset(lab.dataset("made")).images["location"].tolist()


@pytest.mark.parametrize(
    ("side", "rows"),
    [
        ("only", [0, 1, 2, 6, 7, 8, 9]),
        ("without", [3, 4, 5]),
        ("only_images", [1, 6]),
        ("without_images", [0, 2, 3, 4, 5, 7, 8, 9]),
    ],
)
def test_a_recipe_takes_a_side(lab: Workspace, data: Dataset, side: str, rows: list[int]) -> None:
    kept: Selection = save_selection(lab, data, "some", np.array([1, 6]))
    assert trained(lab, selection="some", selected=side) == [f"faces#{row}" for row in rows]
    made = open_dataset(lab.dataset("made"))
    assert made.info["selection"] == {"name": "some", "hash": kept.hash, "selected": side}
    assert "selection some" in made.info["notes"]


def test_a_recipe_that_a_selection_leaves_nothing_or_everything(lab: Workspace, data: Dataset) -> None:
    save_selection(lab, data, "tested", np.array([10, 11]))
    for side, says in (
        ("only", "selection 'tested', only these people: no image of train of data set faces is left"),
        ("without", "every image of train of data set faces is left, so the selection changes nothing there"),
    ):
        with pytest.raises(FairLabError, match=says):
            trained(lab, selection="tested", selected=side)
    with pytest.raises(FairLabError, match="has no saved selection 'none'; it has: tested"):
        trained(lab, selection="none")
    with pytest.raises(ValueError, match="selected is used only with a selection"):
        Recipe(dataset="faces", selected="without")
