"""Forgetting a person takes her images out of saved selections; what stays means the same images under their new numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.data.dataset import open_dataset
from fairlab.data.recipes import build_recipe
from fairlab.data.selections import list_selections, names, open_selection, read_selection, save_selection
from fairlab.errors import FairLabError
from fairlab.settings.study import Recipe
from fairlab.storage.deletion_words import reached
from fairlab.storage.people.forget import forget, forget_all, survey
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of

PEOPLE = {"ann": ("X", 3), "bob": ("Y", 2), "cid": ("X", 2), "note": ("Y", 2)}


@pytest.fixture
def faces(lab: Workspace) -> Workspace:
    data = data_of(lab.dataset("faces"), PEOPLE)
    save_selection(lab, data, "mixed", np.array([2, 4, 6, 8]), "ann beside bob")
    save_selection(lab, data, "ann", np.array([0, 1, 2]), "all of her")
    save_selection(lab, data, "others", np.array([5, 7]))
    return lab


def where(lab: Workspace, name: str, selection: str) -> list[str]:
    data = open_dataset(lab.dataset(name))
    return [
        f"{row.identity}/{row.location}"
        for row in data.images.iloc[open_selection(lab, data, selection).ids].itertuples()
    ]


def test_her_images_go_and_the_others_stay_the_same_images(faces: Workspace) -> None:
    """Found by identity before and after; her name goes from notes, and from the name of a selection."""
    before = {
        name: open_selection(faces, open_dataset(faces.dataset("faces")), name).ids for name in ("mixed", "others")
    }
    pixels = open_dataset(faces.dataset("faces")).pixels
    seen = {name: [np.asarray(pixels[row]).tobytes() for row in ids if row > 2] for name, ids in before.items()}
    found = survey(faces, "faces", "ann")
    assert [(item["selection"], item["images"], item["of"]) for item in found.selections] == [
        ("ann", 3, 3),
        ("mixed", 1, 4),
    ]
    assert "saved selection mixed of faces: 1 of its 4 images" in reached(found)
    forget(faces, "faces", "ann")
    now = open_dataset(faces.dataset("faces"))
    for name, images in seen.items():
        assert [np.asarray(now.pixels[row]).tobytes() for row in open_selection(faces, now, name).ids] == images
    left = read_selection(faces, "faces", "mixed")
    assert (left.forgotten, left.people) == (1, 3)
    assert left.note.endswith(" beside bob")
    hers = [name for name in names(faces, "faces") if name not in ("mixed", "others")]
    assert len(hers) == 1
    assert hers[0].startswith("deleted-")
    with pytest.raises(FairLabError, match=r"it has no images \(all 3 were deleted with their people\)"):
        open_selection(faces, now, hers[0])
    assert not any("ann" in path.read_text() + path.name for path in faces.selections("faces").iterdir())


def test_a_person_called_as_a_word_of_the_file_breaks_nothing(faces: Workspace) -> None:
    """`note` is a key of every selection's file."""
    forget(faces, "faces", "note")
    assert list_selections(faces)["state"].tolist() == ["", "", ""]
    assert read_selection(faces, "faces", "mixed").note == "ann beside bob"


def test_data_sets_that_borrow_lose_them_too(faces: Workspace) -> None:
    build_recipe(Recipe(dataset="faces", groups=("X",)), faces.dataset("made"), "made")
    made = open_dataset(faces.dataset("made"))
    save_selection(faces, made, "some", np.array([0, 3, 4]))
    assert [text.partition("/")[0] for text in where(faces, "made", "some")] == ["ann", "cid", "cid"]
    forget(faces, "faces", "ann")
    assert [text.partition("/")[0] for text in where(faces, "made", "some")] == ["cid", "cid"]


def test_with_a_whole_data_set_its_selections_go(faces: Workspace) -> None:
    forget_all(faces, "faces")
    assert list_selections(faces).empty


def test_the_longest_name_and_note_with_her_name_are_still_read(faces: Workspace) -> None:
    """The word in place of her name is longer than it."""
    data = open_dataset(faces.dataset("faces"))
    save_selection(faces, data, f"ann-{'x' * 96}", np.array([3]), "ann " * 499)
    forget(faces, "faces", "ann")
    listed = list_selections(faces)
    assert len(listed) == 4
    assert listed[listed["images"] == 1]["state"].tolist() == [""]
