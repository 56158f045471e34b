"""Recipes with balance = mass: who goes, what is recorded, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.mass_balance import before_and_after, sentence
from fairlab.data.recipes import build_recipe, drawn_size
from fairlab.data.shares import store
from fairlab.errors import FairLabError
from fairlab.settings.recipe import Recipe
from tests.data.shared_sets import data_of

PEOPLE = {"a": ("X", 2), "b": ("X", 1), "c": ("X", 1), "d": ("Y", 1), "e": ("Y", 1)}
OF_X = [0.9, 0.9, 0.6, 0.7, 0.1, 0.3]
"""Mass of X's own a, b, c: 1.8, .6, .7 = 3.1; of Y's d, e: .9, .7 = 1.6. Of all: X 3.5, Y 2.5."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    data = data_of(tmp_path / "faces", PEOPLE)
    store(data, ("X", "Y"), np.array([[share, 1 - share] for share in OF_X]), "shares.csv")
    return tmp_path


def build(home: Path, **recipe: Any) -> Dataset:
    build_recipe(Recipe(dataset="faces", balance="mass", **recipe), home / "out", "out")
    return open_dataset(home / "out", verify=True)


def test_the_largest_mass_loses_first_and_all_is_recorded(home: Path) -> None:
    """X loses b (.6), then c (.7): 1.8 against 1.6."""
    data = build(home, remove=2)
    assert sorted(set(data.images["identity"])) == ["a", "d", "e"]
    facts = data.info["mass_balance"]
    assert (facts["rule"], facts["letter"], facts["groups"], facts["removed"]) == (
        "group_mass",
        "e",
        "given",
        {"X": 2, "Y": 0},
    )
    table = before_and_after(facts).set_index("group")
    assert table.loc["X"].tolist() == pytest.approx([3.5, 2.2, 3, 1, 4, 2], abs=1e-12)
    assert table.loc["Y"].tolist() == pytest.approx([2.5, 1.8, 2, 2, 2, 2], abs=1e-12)
    assert facts["before"]["largest_excess"] == pytest.approx(0.4, abs=1e-12)
    assert facts["after"]["largest_excess"] == pytest.approx(2.2 / 1.8 - 1, abs=1e-12)
    assert facts["after"]["mass_entropy"] > facts["before"]["mass_entropy"]
    assert facts["after"]["image_entropy"] < facts["before"]["image_entropy"], "groups become purer"
    said = sentence(facts)
    assert "2 identities removed" in said
    assert "not fairness by itself" in said
    assert "balanced by mass (group_mass)" in data.info["notes"]
    assert (data.pixels[:] == open_dataset(home / "faces").pixels[[0, 1, 4, 5]]).all()


def test_keep_remove_and_gap_are_three_ways_to_say_it(home: Path) -> None:
    one = build(home, keep=3).info["mass_balance"]
    assert one == build(home, remove=2).info["mass_balance"]
    assert one == build(home, mass_gap=0.13).info["mass_balance"]  # 1.8 / 1.6 - 1 = 0.125
    assert drawn_size(Recipe(dataset="faces", balance="mass", keep=3), home / "x") == 4


def test_groups_by_the_largest_share(home: Path) -> None:
    """By the data, b is of X; where it has .4 of X it is Y's by its largest share."""
    data = open_dataset(home / "faces")
    store(data, ("X", "Y"), np.array([[x, 1 - x] for x in [0.9, 0.9, 0.4, 0.7, 0.1, 0.3]]), "x.csv")
    given = build(home, mass_rule="mean_share", remove=1).info["mass_balance"]
    assert given["before"]["identities"] == {"X": 3, "Y": 2}
    assert given["removed"] == {"X": 1, "Y": 0}
    largest = build(home, mass_rule="mean_share", mass_groups="largest", remove=1).info["mass_balance"]
    assert largest["before"]["identities"] == {"X": 2, "Y": 3}
    assert largest["removed"] == {"X": 0, "Y": 1}
    assert build(home, mass_rule="total_mass", remove=1).info["mass_balance"]["groups"] == "largest"


def test_what_cannot_be_balanced_is_said_with_numbers(home: Path) -> None:
    with pytest.raises(FairLabError, match="keep 9 identities requested, and data set faces has 5 to choose from"):
        build(home, keep=9)
    with pytest.raises(FairLabError, match="mass_rule group_mass would remove the last of"):
        build(home)
    data = open_dataset(home / "faces")
    values = np.array([[share, 1 - share] for share in OF_X])
    store(data, ("X", "Z"), values, "x.csv")
    with pytest.raises(FairLabError, match=r"has the group 'Y' without shares \(there are shares of X, Z\)"):
        build(home, remove=1)
    values[2] = np.nan
    store(data, ("X", "Y"), values, "x.csv")
    with pytest.raises(FairLabError, match=r"1 identities of data set faces have no image with shares, e.g. 'b'"):
        build(home, remove=1)
    data_of(home / "bare", {"a": ("X", 1), "b": ("Y", 1)})
    with pytest.raises(FairLabError, match="balance = mass needs soft group shares, and data set bare has none"):
        build_recipe(Recipe(dataset="bare", balance="mass", remove=1), home / "out", "out")
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remove": 2}, "remove is used only with balance = mass"),
        ({"mass_rule": "total_mass"}, "mass_rule is used only with balance = mass"),
        ({"balance": "mass", "remove": 1, "keep": 1}, "remove and keep exclude each other"),
        ({"balance": "mass", "equal": True}, "equal does not go with balance = mass"),
        ({"balance": "mass", "mix": "made"}, "mix does not go with balance = mass"),
        ({"balance": "mass", "remove": 1, "mass_gap": 0.1}, "mass_gap is used only where remove and keep are 0"),
        ({"balance": "mass", "mass_rule": "total_mass", "mass_groups": "largest"}, "mass_groups is not used with total_mass"),
        ({"balance": "mass", "mass_rule": "sum"}, "mass_rule"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe(dataset="faces", **changes)
