"""Stored maps: found by what decides the picture, whole or not there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.settings.study import Projection
from fairlab.store.projections import how_made, list_projections, projection_key, read_projection, write_projection
from fairlab.tables import PROJECTION
from tests.store.test_index import stored, unit

XY = np.arange(10, dtype=np.float32).reshape(5, 2) / 3


def write(folder: Path, key: str = "k", dataset: str = "d") -> None:
    write_projection(folder, key, "a-run", np.arange(5), XY, {"dataset": dataset, "trustworthiness": 0.9})


def test_a_map_comes_back_to_the_bit(tmp_path: Path) -> None:
    write(tmp_path)
    found = read_projection(tmp_path, "k")
    assert found is not None
    assert tuple(found.points) == PROJECTION
    assert np.array_equal(found.points[["x", "y"]].to_numpy(), XY)
    assert found.facts["trustworthiness"] == 0.9
    assert read_projection(tmp_path, "other") is None


def test_maps_are_listed_newest_first_and_by_data_set(tmp_path: Path) -> None:
    for key, dataset in (("k1", "d"), ("k2", "e"), ("k3", "d")):
        write(tmp_path, key, dataset)
    assert [item.key for item in list_projections(tmp_path)] == ["k3", "k2", "k1"]
    assert [item.key for item in list_projections(tmp_path, "d")] == ["k3", "k1"]
    assert list_projections(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", ["k.parquet", "k.json"])
def test_a_damaged_map_counts_as_none(tmp_path: Path, name: str) -> None:
    """It can be drawn again. 100 cuts and 100 flips: no map, or the one that was stored (a flip in the check's own name)."""
    write(tmp_path)
    path, dice, good = tmp_path / "projections" / name, random.Random(0), read_projection(tmp_path, "k")
    assert good is not None
    original = path.read_bytes()
    for number in range(200):
        damaged = bytearray(original)
        if number < 100:
            damaged = damaged[: dice.randrange(len(original) - 1)]
        else:
            damaged[dice.randrange(len(original))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        for found in (read_projection(tmp_path, "k"), *list_projections(tmp_path)):
            assert found is None or {key: found.facts[key] for key in good.facts} == good.facts


def test_the_key_holds_all_that_decides_the_picture(tmp_path: Path) -> None:
    one, other = stored(tmp_path / "1", unit(9, 4)), stored(tmp_path / "2", unit(9, 4, 1))
    keys = [
        projection_key(one, Projection(), ""),
        projection_key(other, Projection(), ""),
        projection_key(one, Projection(seed=1), ""),
        projection_key(one, Projection(min_dist=0.2), ""),
        projection_key(one, Projection(), "a-run"),
    ]
    keys += [
        projection_key(one, Projection(**more), "", "landmarks") for more in ({}, {"passes": 50}, {"landmarks": 200})
    ]
    assert len(set(keys)) == 8
    assert keys[0] == projection_key(one, Projection(passes=50), "")  # UMAP alone has no use for them
    assert keys[0] == projection_key(stored(tmp_path / "3", unit(9, 4)), Projection(), "")


def test_a_map_of_before_is_read_and_says_nothing_it_does_not_know(tmp_path: Path) -> None:
    """Without people, landmarks and interval: what was drawn before they were told."""
    write(tmp_path)
    found = read_projection(tmp_path, "k")
    assert found is not None
    assert how_made(found.facts) == []


def test_how_a_map_was_made_in_words(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "people": 40,
        "people_of": 900,
        "people_cut": 1,
        "landmarks": 100,
        "placed": 900,
        "neighbours_found": 0.951,
    }
    facts |= {"trustworthiness": 0.98, "trust_interval": [0.975, 0.985], "trust_asked": 2000}
    write_projection(tmp_path, "k", "a-run", np.arange(5), XY, facts)
    found = read_projection(tmp_path, "k")
    assert found is not None
    assert how_made(found.facts) == [
        "40 of 900 people, all images of each, but 1 shown in part, drawn per group by seed",
        "UMAP laid out 100 images as landmarks (people drawn whole per group by seed); 900 were placed beside them and "
        "moved to their neighbours (95.1% of true neighbours found)",
        "trustworthiness from 2,000 images, 95 % interval 0.975 to 0.985",
    ]
