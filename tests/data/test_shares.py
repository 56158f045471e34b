"""Soft group shares: what is kept, what they add up to, and what margins make of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.forgetting import write_without
from fairlab.data.recipes import build_recipe
from fairlab.data.shares import balance, balances, entropy, margin_factors, masses, needed_shares, shares_of, store
from fairlab.errors import Damaged, FairLabError
from fairlab.settings.recipe import Recipe
from tests.data.shared_sets import data_of

VALUES = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [np.nan, np.nan], [0.2, 0.8]])


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """a: 2 images of X; b: 2 of Y; a test image. The second of b has no shares."""
    made = data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)}, test=1)
    store(made, ("X", "Y"), VALUES, "shares.csv")
    return open_dataset(tmp_path / "faces", verify=True)


def test_they_are_kept_with_a_fingerprint_of_their_own(data: Dataset, tmp_path: Path) -> None:
    """The same shares again have the same one; the data set's stays, so embeddings and runs stay valid."""
    before = data_of(tmp_path / "other" / "faces", {"a": ("X", 2), "b": ("Y", 2)}, test=1)
    shares = needed_shares(data, "x")
    assert (shares.groups, shares.known.tolist()) == (("X", "Y"), [True, True, True, False, True])
    assert np.array_equal(shares.values, VALUES, equal_nan=True)
    assert data.fingerprint == before.fingerprint
    store(data, ("X", "Y"), VALUES, "again.csv")
    assert needed_shares(open_dataset(data.folder, verify=True), "x").fingerprint == shares.fingerprint
    for groups, values in ((("X", "Z"), VALUES), (("X", "Y"), VALUES[:, ::-1].copy())):
        store(data, groups, values, "other.csv")
        assert needed_shares(open_dataset(data.folder), "x").fingerprint != shares.fingerprint


def test_without_shares_the_sentence_says_how(tmp_path: Path) -> None:
    data = data_of(tmp_path / "bare", {"a": ("X", 1), "b": ("Y", 1)})
    assert shares_of(data) is None
    with pytest.raises(FairLabError, match=r"^balance = mass needs soft .* `fairlab data shares bare TABLE`$"):
        needed_shares(data, "balance = mass")


def test_a_damaged_file_is_named(data: Dataset) -> None:
    (data.folder / "shares.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(Damaged, match=r"shares.npy is missing or damaged: .*import the shares again"):
        shares_of(data)
    np.save(data.folder / "shares.npy", np.zeros((3, 2)))
    with pytest.raises(Damaged, match=r"holds \(3, 2\) float64, expected 5 images x 2 groups"):
        shares_of(data)


def test_masses_and_entropies_in_closed_form(data: Dataset) -> None:
    """X: .9 + .7 + .4 = 2, Y: 1; image 3 counts nothing."""
    shares = needed_shares(data, "x")
    table = masses(data, shares).set_index(["split", "group"])
    train = table.loc["train"]
    assert train["mass"].tolist() == pytest.approx([2.0, 1.0], abs=1e-12)
    assert train["mass_share"].tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-12)
    assert train[["images", "identities"]].to_numpy().tolist() == [[2, 1], [1, 1]]
    assert table.loc[("test", "Y"), "mass"] == pytest.approx(0.8, abs=1e-12)
    row = balances(data, shares).set_index("split").loc["train"]
    assert row[["images", "without_shares"]].tolist() == [4, 1]
    assert row["mass_entropy"] == pytest.approx(math.log2(3) - 2 / 3, abs=1e-12)
    each = [-(p * math.log2(p) + (1 - p) * math.log2(1 - p)) for p in (0.9, 0.7, 0.4)]
    assert row["image_entropy"] == pytest.approx(sum(each) / 3, abs=1e-12)
    assert row["largest_excess"] == pytest.approx(1.0, abs=1e-12)


def test_entropy_of_one_group_and_of_all() -> None:
    found = entropy(np.array([[0, 1, 0], [1, 1, 1], [2, 2, 0]]))
    assert found == pytest.approx([0, 1, math.log(2) / math.log(3)], abs=1e-12)
    nothing = balance(np.full((2, 3), np.nan))
    assert all(math.isnan(value) for value in nothing.values())
    assert balance(np.array([[1.0, 0.0]]))["largest_excess"] == math.inf


def test_margin_factors_in_closed_form() -> None:
    """X has a (mean .8) and c (mean .6): their mean is .7, so 1.1^2 and .9^2; b is alone in Y: 1."""
    values = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4], [np.nan, np.nan]])
    found = margin_factors(values, np.array([0, 1, 0, 2, 1]))
    assert found == pytest.approx([1.21, 1.0, 1.21, 0.81, 1.0], abs=1e-12)


def test_a_recipe_borrows_them_as_it_borrows_images(data: Dataset, tmp_path: Path) -> None:
    build_recipe(Recipe(dataset="faces", groups=("Y",), held_out=False), tmp_path / "part", "part")
    part = open_dataset(tmp_path / "part")
    shares = needed_shares(part, "x")
    assert np.array_equal(shares.values, VALUES[2:4], equal_nan=True)
    with pytest.raises(FairLabError, match="part borrows its images and their shares: import the table for faces"):
        store(part, ("X", "Y"), VALUES[2:4], "x.csv")
    store(data, ("X", "Y"), VALUES[::-1].copy(), "x.csv")
    again = needed_shares(part, "x")
    assert again.fingerprint != shares.fingerprint
    assert np.array_equal(again.values, VALUES[::-1][2:4], equal_nan=True)


def test_a_mixture_with_a_set_without_shares_has_some(data: Dataset, tmp_path: Path) -> None:
    data_of(tmp_path / "made", {"c": ("X", 2), "d": ("Y", 2)})
    build_recipe(Recipe(dataset="faces", mix="made", held_out=False), tmp_path / "mixed", "mixed")
    mixed = open_dataset(tmp_path / "mixed")
    known = needed_shares(mixed, "x").known
    lent = mixed.images["location"].str.startswith("faces#").to_numpy()
    assert known[~lent].any() == False  # noqa: E712 - a numpy bool
    assert known[lent].any()
    store(open_dataset(tmp_path / "made"), ("X", "Z"), np.full((4, 2), 0.5), "x.csv")
    assert shares_of(mixed) is None, "shares of other groups cannot be laid together"


def test_who_is_forgotten_leaves_no_shares(data: Dataset, tmp_path: Path) -> None:
    """The others keep theirs, under a fingerprint of what is left."""
    write_without(data, np.array([0, 1]), tmp_path / "left" / "faces", {}, {}, "")
    left = open_dataset(tmp_path / "left" / "faces", verify=True)
    assert np.array_equal(needed_shares(left, "x").values, VALUES[2:], equal_nan=True)
    assert needed_shares(left, "x").fingerprint != needed_shares(data, "x").fingerprint
