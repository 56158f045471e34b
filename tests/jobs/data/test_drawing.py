"""Pairs drawn for a data set that came without: right whatever the data, the same every time, and kept as its list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.cli.main import main
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.files import verify_manifest
from fairlab.jobs.data.drawing import draw_pairs, drawn_pairs
from fairlab.settings.protocols import DrawnPairs
from fairlab.tables import IMAGES, PAIRS, matches
from fairlab.workspace import Workspace, open_workspace


def made(lab: Workspace, people: dict[str, list[int]], name: str = "mine") -> Dataset:
    """A data set without pairs: group -> how many images each of its people has."""
    rows = [
        {"split": "test", "identity": f"{group} {person}", "group": group, "source": "real", "dataset": name}
        for group, each in people.items()
        for person, count in enumerate(each)
        for _ in range(count)
    ]
    images = IMAGES.build([{**row, "image_id": at, "location": at} for at, row in enumerate(rows)])
    pixels = np.zeros((len(rows), 8, 8, 3), np.uint8)
    return write_dataset(lab.dataset(name), NewDataset(dataset_id=name, kind="folders", attribute="Group", groups=tuple(people), images=images, pairs=PAIRS.build(), pixels=pixels, recipe={}))  # fmt: skip


def who(data: Dataset, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    identity = data.images["identity"].to_numpy(dtype=str)
    return identity[pairs["image_a"]], identity[pairs["image_b"]]


def test_drawn_pairs_are_what_they_say(tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / "home")
    before = made(lab, {"A": [4] * 30, "B": [3, 1] * 20})
    drawn = draw_pairs(lab, "mine", DrawnPairs(genuine=50, seed=3))
    data = open_dataset(before.folder, verify=True)
    pairs = data.pairs_of("test")
    assert matches(pairs, PAIRS)
    assert pairs["pair_id"].is_unique
    one, other = who(data, pairs)
    assert ((one == other) == pairs["genuine"]).all()
    assert (pairs["image_a"] != pairs["image_b"]).all()
    assert not pairs.assign(low=pairs[["image_a", "image_b"]].min(axis=1), high=pairs[["image_a", "image_b"]].max(axis=1)).duplicated(["low", "high"]).any()  # fmt: skip
    assert drawn.facts == {
        "A": {"genuine": 50, "impostor": 50, "folds": 6},
        "B": {"genuine": 50, "impostor": 50, "folds": 8},
    }
    for group, part in pairs.groupby("group"):
        sides = who(data, part)
        assert {name[0] for name in np.concatenate(sides)} == {group}
        folds = pd.DataFrame({"fold": [*part["fold"]] * 2, "person": np.concatenate(sides)})
        assert (folds.groupby("person")["fold"].nunique() == 1).all(), "a fold shares nobody with another"
        counts = part.groupby("fold")["genuine"].agg(["sum", "size"])
        assert (counts["size"] == 2 * counts["sum"]).all()
        assert np.ptp(counts["sum"]) <= 1
    assert data.fingerprint == before.fingerprint, "images and people stay, so embeddings do"
    assert data.info["drawn_pairs"]["seed"] == 3
    verify_manifest(data.folder)


def test_the_same_seed_draws_the_same_pairs_and_another_others(tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / "home")
    data = made(lab, {"A": [3] * 20})
    draws = [drawn_pairs(lab, data, DrawnPairs(genuine=30, seed=seed)).pairs for seed in (1, 1, 2)]
    assert draws[0].equals(draws[1])
    assert not draws[0].equals(draws[2])


def test_fewer_pairs_than_asked_for_and_groups_without_any_are_named(tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / "home")
    data = made(lab, {"A": [2] * 6, "one person": [9], "one image": [1] * 9})
    drawn = drawn_pairs(lab, data, DrawnPairs())
    assert drawn.facts == {"A": {"genuine": 6, "impostor": 6, "folds": 2}}  # each of six people has one genuine pair
    said = " ".join(drawn.notes)
    for words in ("instead of 3,000", "one person has no pairs", "one image has no pairs: each person has one image"):
        assert words in said


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ({"A": [1] * 9}, "each person has one image"),
        ({"A": [5]}, "impostor pairs need two"),
        ({"A": [4, 1]}, "two folds"),
    ],
)
def test_where_no_pair_can_be_drawn_a_sentence_says_why(tmp_path: Path, people: dict[str, list[int]], why: str) -> None:
    lab = open_workspace(tmp_path / "home")
    before = made(lab, people)
    with pytest.raises(FairLabError, match=f"no pairs can be drawn for data set mine: .*{why}"):
        draw_pairs(lab, "mine", DrawnPairs())
    assert open_dataset(before.folder, verify=True).pairs.empty


def test_the_command_draws_them_once(tmp_path: Path, here: None, capsys: pytest.CaptureFixture[str]) -> None:
    lab = open_workspace(tmp_path / "home")
    made(lab, {"A": [3] * 20})
    call = ["--home", str(lab.home), "data", "pairs", "mine", "--set", "genuine=20"]
    assert main([*call, "--dry-run"]) == 0
    assert "A: 20 genuine, 20 impostor, 4 folds" in capsys.readouterr().out
    assert open_dataset(lab.dataset("mine")).pairs.empty
    assert main(call) == 0
    assert len(open_dataset(lab.dataset("mine")).pairs) == 40
    assert main(call) != 0
    assert "has 40 test pairs already" in capsys.readouterr().err
