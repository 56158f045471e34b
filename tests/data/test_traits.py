"""Traits: what is kept beside a data set, what data bring themselves, and what recipes and forgetting make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab.compare.columns.base import Space, labels, values
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.forgetting import write_without
from fairlab.data.recipes import build_recipe
from fairlab.data.shares import needed_shares, store
from fairlab.data.traits import (
    Trait,
    keep_traits,
    names_beside,
    remove_traits,
    summary,
    traits_fingerprint,
    traits_of,
)
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.settings.recipe import Recipe
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of

AGE = Trait("age", "table", "older, in years", np.array([20.0, 31.5, np.nan, 44.0]))
SCENE = Trait("scene", "table", "", np.array(["indoor", "", "outdoor", "outdoor"], dtype=object))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """a: 2 images of X; b: 2 of Y, with an age and a scene."""
    made = data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})
    keep_traits(made, [AGE, SCENE])
    return open_dataset(tmp_path / "faces", verify=True)


def test_they_are_kept_with_a_fingerprint_of_their_own(data: Dataset, tmp_path: Path) -> None:
    """The data set's fingerprint stays, and so do soft shares; the same traits again have the same fingerprint."""
    before = data_of(tmp_path / "other" / "faces", {"a": ("X", 2), "b": ("Y", 2)})
    assert data.fingerprint == before.fingerprint
    assert (traits_fingerprint(before), names_beside(before), traits_of(before)) == ("", (), {})
    found = traits_of(data)
    assert [(one.name, one.numeric, one.meaning) for one in found.values()] == [
        ("age", True, "older, in years"),
        ("scene", False, ""),
    ]
    assert np.array_equal(found["age"].values, AGE.values, equal_nan=True)
    assert found["scene"].values.tolist() == ["indoor", "", "outdoor", "outdoor"]
    assert found["scene"].known.tolist() == [True, False, True, True]
    first = traits_fingerprint(data)
    store(data, ("X", "Y"), np.full((4, 2), 0.5), "shares.csv")
    data = open_dataset(data.folder, verify=True)
    assert traits_fingerprint(data) == first
    keep_traits(data, [AGE])
    data = open_dataset(data.folder, verify=True)
    assert traits_fingerprint(data) == first
    assert needed_shares(data, "x").groups == ("X", "Y")


def test_one_of_the_same_name_is_replaced_and_others_stay(data: Dataset) -> None:
    keep_traits(data, [Trait("age", "table", "", np.arange(4.0)), Trait("blur", "measured", "", np.arange(4.0))])
    data = open_dataset(data.folder, verify=True)
    assert names_beside(data) == ("age", "scene", "blur")
    assert traits_of(data)["age"].values.tolist() == [0, 1, 2, 3]
    for name, source, message in (
        (
            "blur",
            "table",
            "has a trait 'blur' already, which was measured from the pixels; remove it first: .*--remove blur",
        ),
        ("norm", "table", "'norm' is the name of a trait that models give to images; rename the column"),
    ):
        with pytest.raises(Refused, match=message):
            keep_traits(data, [Trait(name, source, "", np.arange(4.0))])
    with pytest.raises(FairLabError, match="faces has no trait 'pose' to remove; it has: age, scene, blur"):
        remove_traits(data, ["pose"])
    remove_traits(data, ["age", "scene", "blur"])
    assert traits_of(open_dataset(data.folder, verify=True)) == {}


@pytest.mark.parametrize("name", ["cls", "self", "a.b", "<b>x</b>", "trait", "Kopfhaltung in Grad", "0"])
def test_any_name_will_do(name: str, data: Dataset) -> None:
    keep_traits(data, [Trait(name, "table", "", np.arange(4.0))])
    data = open_dataset(data.folder, verify=True)
    assert traits_of(data)[name].values.tolist() == [0, 1, 2, 3]
    assert values(Space(Workspace(data.folder), None, data), f"trait.{name}", np.array([2])).tolist() == [2]  # type: ignore[arg-type]


def test_attributes_of_the_data_are_traits(tmp_path: Path) -> None:
    """All numbers: a number; ages as ranges: a text; "unknown" and nothing are gaps."""
    made = data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})
    images = made.images.assign(
        **{"attribute.yaw": ["-3", "4.5", "unknown", ""], "attribute.age": ["3-9", "70+", "unknown", "3-9"]}
    )
    made = Dataset(made.folder, made.info)
    made.__dict__["images"] = images
    found = traits_of(made)
    assert [(one.source, one.numeric) for one in found.values()] == [("attribute", True), ("attribute", False)]
    assert np.array_equal(found["yaw"].values, [-3, 4.5, np.nan, np.nan], equal_nan=True)
    assert found["age"].values.tolist() == ["3-9", "70+", "", "3-9"]
    with pytest.raises(Refused, match="has a trait 'age' already, which came with the data; rename the column"):
        keep_traits(made, [AGE])


def test_a_summary_has_a_row_for_each_group(data: Dataset) -> None:
    table = summary(data, traits_of(data)).set_index(["trait", "group"])
    assert table.loc[("age", "X"), ["images", "known", "low", "median", "high"]].tolist() == [2, 2, 20, 25.75, 31.5]
    assert table.loc[("age", "Y"), ["known", "low", "median", "high"]].tolist() == [1, 44, 44, 44]
    assert table.loc[("scene", "Y"), "values"] == "outdoor: 2"
    assert table.loc[("scene", "X"), "known"] == 1


def test_a_recipe_borrows_them_as_it_borrows_images(data: Dataset, tmp_path: Path) -> None:
    """Of a mixture, images of a lender without a trait have none; one that is a number here and a text there is left out."""
    other = data_of(tmp_path / "made", {"c": ("X", 2), "d": ("Y", 2)})
    keep_traits(other, [Trait("age", "measured", "", np.arange(4.0)), Trait("scene", "table", "", np.arange(4.0))])
    build_recipe(Recipe(dataset="faces", mix="made", held_out=False), tmp_path / "mixed", "mixed")
    mixed = open_dataset(tmp_path / "mixed")
    parent, row = mixed.borrowed()
    found = traits_of(mixed)
    assert (list(found), names_beside(mixed)) == (["age"], ("age",))
    wanted = np.where(parent == 0, AGE.values[row], np.arange(4.0)[row])
    assert np.array_equal(found["age"].values, wanted, equal_nan=True)
    first = traits_fingerprint(mixed)
    keep_traits(data, [Trait("age", "table", "", np.arange(4.0))])
    assert traits_fingerprint(mixed) != first
    with pytest.raises(
        FairLabError, match="mixed borrows its images and their traits: import the table for faces and made"
    ):
        keep_traits(mixed, [])


def test_a_data_set_without_some_images_has_the_traits_of_the_others(data: Dataset, tmp_path: Path) -> None:
    write_without(data, np.array([0, 2]), tmp_path / "new" / "faces", {}, {}, "")
    left = open_dataset(tmp_path / "new" / "faces", verify=True)
    assert traits_of(left)["age"].values.tolist() == [31.5, 44]
    assert traits_of(left)["scene"].values.tolist() == ["", "outdoor"]
    assert traits_fingerprint(left) not in ("", traits_fingerprint(data))


def test_maps_are_coloured_by_them(data: Dataset) -> None:
    assert {"trait.age": "age", "trait.scene": "scene"}.items() <= labels(data).items()
    space = Space(Workspace(data.folder), None, data)  # type: ignore[arg-type]
    assert np.array_equal(values(space, "trait.age", np.array([3, 2])), [44, np.nan], equal_nan=True)
    assert values(space, "trait.scene", np.array([0, 1])).tolist() == ["indoor", "n/a"]


def test_a_damaged_file_is_named(data: Dataset) -> None:
    (data.folder / "traits.parquet").write_bytes(b"PAR1")
    with pytest.raises(Damaged, match=r"traits.parquet is missing or damaged: .*import or measure the traits again"):
        traits_of(data)
