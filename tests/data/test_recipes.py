"""Data sets by recipe: the right people, drawn by seed and nothing else, and pixels that are the parents' own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.images import thumbnail_png
from fairlab.data.recipes import build_recipe
from fairlab.data.sampling import training_rows
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.settings.study import Data, Recipe
from fairlab.tables import PAIRS
from fairlab.training.loader import ImageInputs

PX = 16


def parent(folder: Path, counts: dict[str, int], each: int = 3, px: int = PX, shuffle: int | None = None) -> Dataset:
    """People of these groups with `each` training images (person n of a group: n % 2 fewer), and a test part with pairs.
    shuffle: the rows in another order."""
    rows = [
        (split, f"{group}{person:03d}" if split == "train" else f"{group}t{person}", group, f"{group}/{person}/{number}{split}")
        for split, most in (("train", None), ("test", 2))
        for group, count in counts.items()
        for person in range(most or count)
        for number in range(each - person % 2)
    ]  # fmt: skip
    if shuffle is not None:
        rows = [rows[place] for place in np.random.default_rng(shuffle).permutation(len(rows))]
    images = pd.DataFrame(rows, columns=["split", "identity", "group", "location"])
    images = images.assign(image_id=np.arange(len(images)), dataset=folder.name, source="real")
    tested = np.flatnonzero(images["split"] == "test")
    pairs = pd.DataFrame({"image_a": tested[:-1], "image_b": tested[1:]})
    who = images["identity"].to_numpy()
    same = who[pairs["image_a"]] == who[pairs["image_b"]]
    pairs = pairs.assign(pair_id=np.arange(len(pairs)), protocol="test", genuine=same, fold=0)
    pairs["group"] = images["group"].to_numpy()[pairs["image_a"]]
    seeds = [sum(map(ord, str(place))) * 7919 + len(str(place)) for place in images["location"]]
    pixels = np.stack([np.random.default_rng(seed).integers(0, 256, (px, px, 3), np.uint8) for seed in seeds])
    return write_dataset(folder, NewDataset(dataset_id=folder.name, kind="test", attribute="Ethnicity", groups=tuple(counts), images=images, pairs=pairs[list(PAIRS)], pixels=pixels, recipe={}))  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    parent(tmp_path / "real", {"X": 9, "Y": 6, "Z": 7})
    parent(tmp_path / "made", {"X": 8, "Y": 8, "Z": 8}, each=5)
    return tmp_path


def build(home: Path, name: str = "out", **recipe: object) -> Dataset:
    build_recipe(Recipe(dataset="real", **recipe), home / name, name)
    return open_dataset(home / name, verify=True)


def people(data: Dataset, split: str = "train") -> dict[str, int]:
    part = data.images[data.images["split"] == split]
    return part.groupby("group", observed=True)["identity"].nunique().to_dict()


def test_a_group_of_its_own(home: Path) -> None:
    """Only that group, with its held-out part and pairs; every pixel is the parent's."""
    data, real = build(home, groups=("Y",)), open_dataset(home / "real")
    assert (data.groups, people(data), data.attribute) == (("Y",), {"Y": 6}, "Ethnicity")
    assert set(data.pairs["group"]) == {"Y"}
    who = data.images["identity"].astype(str).to_numpy()
    assert ((who[data.pairs["image_a"]] == who[data.pairs["image_b"]]) == data.pairs["genuine"]).all()
    rows = real.images.index[real.images["group"] == "Y"].to_numpy()
    assert (data.pixels[:] == real.pixels[rows]).all()
    assert not (home / "out" / "pixels.npy").exists()


def test_balanced_quarters_are_those_a_run_trains_on(home: Path) -> None:
    """MST-KD's split as a data set: the same people as Data(parts=, part=) takes from the parent."""
    real = open_dataset(home / "real")
    seen: set[str] = set()
    for part in range(3):
        data = build(home, f"q{part}", parts=3, part=part, seed=5)
        rows = training_rows(real.images, Data(dataset="real", parts=3, part=part), 5)
        train = data.images[data.images["split"] == "train"]
        assert set(train["identity"]) == set(real.images["identity"].iloc[rows])
        assert (data.pixels[: len(train)] == real.pixels[rows]).all()
        assert not seen & set(train["identity"])
        seen |= set(train["identity"])
    assert len(seen) == 22
    assert people(open_dataset(home / "q0")) == {"X": 3, "Y": 2, "Z": 3}  # ceilings first: 9 -> 3 3 3, 7 -> 3 2 2


def test_equal_identities_and_equal_images(home: Path) -> None:
    """As many as the smallest group has, or as many as asked for."""
    assert people(build(home, equal=True)) == {"X": 6, "Y": 6, "Z": 6}
    assert people(build(home, "four", equal=True, count=4)) == {"X": 4, "Y": 4, "Z": 4}
    images = build(home, "images", equal=True, unit="images").images
    counts = images[images["split"] == "train"].groupby("group", observed=True).size().to_dict()
    assert counts == {"X": 15, "Y": 15, "Z": 15}  # Y has 3 people with 3 and 3 with 2


def test_more_of_the_same_seed_holds_less(home: Path) -> None:
    """The draw is an order of people, so a larger subset contains the smaller one; another seed is another draw."""
    names = [
        set(build(home, f"d{count}{seed}", count=count, seed=seed).images.query("split == 'train'")["identity"])
        for count, seed in ((5, 0), (9, 0), (9, 1))
    ]
    assert [len(item) for item in names] == [5, 9, 9]
    assert names[0] < names[1] != names[2]


def test_a_mixture_by_share(home: Path) -> None:
    """A quarter of the identities (or images) from the second set; two label spaces, whatever people are called."""
    data = build(home, mix="made", share=0.25, equal=True)
    train = data.images[data.images["split"] == "train"]
    counts = train.groupby(["group", train["identity"].astype(str).str.partition("/")[0]], observed=True)[
        "identity"
    ].nunique()
    assert counts.to_dict() == {(group, name): n for group in "XYZ" for name, n in (("real", 6), ("made", 2))}
    assert train["identity"].nunique() == 24
    made = open_dataset(home / "made")
    one = train[train["identity"].astype(str).str.startswith("made/")].iloc[3]
    row = int(one["location"].partition("#")[2])
    assert f"made/{made.images['identity'].iloc[row]}" == one["identity"]
    assert (data.pixels[int(one["image_id"])] == made.pixels[row]).all()
    mixed = build(home, "images", mix="made", share=0.4, unit="images", count=50, held_out=False)
    assert mixed.images["identity"].astype(str).str.partition("/")[0].value_counts().to_dict() == {
        "real": 30,
        "made": 20,
    }
    assert mixed.pairs.empty


def test_the_order_of_the_parents_rows_does_not_matter(home: Path, tmp_path: Path) -> None:
    """The same people and images are drawn where the table was written in another order."""
    (tmp_path / "b").mkdir()
    parent(tmp_path / "b" / "real", {"X": 9, "Y": 6, "Z": 7}, shuffle=3)
    for recipe in ({"equal": True, "count": 3}, {"unit": "images", "count": 11}, {"parts": 2, "part": 1}):
        drawn = []
        for folder in (home, tmp_path / "b"):
            data, real = build(folder, **recipe), open_dataset(folder / "real")
            ids = data.images.loc[data.images["split"] == "train", "location"].str.partition("#")[2].astype(int)
            drawn.append(set(real.images["location"].iloc[ids]))
        assert drawn[0] == drawn[1], recipe


def test_the_same_recipe_has_the_same_fingerprint(home: Path) -> None:
    one, again, other = (build(home, equal=True, count=2, seed=seed).fingerprint for seed in (0, 0, 1))
    assert one == again != other


def test_pixels_look_like_an_array(home: Path) -> None:
    """As loaders and pages use them: rows in any order, slices, one image, mirrored batches; also of a recipe of a recipe."""
    build(home, "mix", mix="made", equal=True)
    data = build_recipe(Recipe(dataset="mix", groups=("Z",), held_out=False), home / "nested", "nested")
    whole = data.pixels[:]
    assert whole.shape == data.pixels.shape == (len(data.images), PX, PX, 3)
    rows = np.array([5, 0, 5, len(whole) - 1])
    assert (data.pixels[rows] == whole[rows]).all()
    assert (data.pixels[2:4] == whole[2:4]).all()
    assert (data.pixels[-1] == whole[-1]).all()
    flipped = ImageInputs(data.pixels, rows).stored(np.arange(4), np.array([True, False, False, False])).numpy()
    assert (flipped[0] == whole[5][:, ::-1]).all()
    assert thumbnail_png(data, 0)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"equal": True, "count": 7}, "7 identities of real in each group requested.*group 'Y' has 6 in real"),
        ({"unit": "images", "count": 999}, "999 images of real requested: 56 in real"),
        ({"mix": "made", "share": 0.5, "count": 60}, "30 identities of real and 30 identities of made.*22 in real and 24 in made"),
        ({"groups": ("W",)}, "has no group 'W'; it has: X, Y, Z"),
        ({"splits": ("night",)}, "has no part 'night'; it has: train, test"),
        ({"mix": "real"}, "part 'train' of data set real cannot be mixed with itself"),
        ({"mix": "large"}, "real has images of 16 px, large of 24 px"),
        ({"mix": "nobody"}, "there is no data set 'nobody'"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_said_with_the_numbers(home: Path, recipe: dict[str, object], said: str) -> None:
    parent(home / "large", {"X": 2}, px=24)
    with pytest.raises(FairLabError, match=said):
        build(home, **recipe)
    assert not (home / "out").exists()


def test_parents_that_are_gone_or_changed_are_said_when_pixels_are_asked_for(home: Path) -> None:
    data = build(home, mix="made")
    shutil.move(home / "made", home / "away")
    with pytest.raises(FairLabError, match=r"out borrows its images from data set made, which no longer exists"):
        _ = open_dataset(home / "out").pixels
    parent(home / "made", {"X": 8, "Y": 8, "Z": 9}, each=5)
    with pytest.raises(FairLabError, match=r"made is not the one that out borrows its images from .*make out again"):
        _ = open_dataset(home / "out").pixels
    assert len(data.images) == len(open_dataset(home / "out").images)
    (home / "out" / "row.npy").write_bytes(b"")
    with pytest.raises(Damaged, match="whose images it borrows"):
        open_dataset(home / "out").borrowed()
