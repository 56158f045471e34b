"""Stored embeddings: all or nothing, and a damaged file is found."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from fairlab.errors import Damaged, FairLabError
from fairlab.store.embeddings import EmbeddingWriter, has_embeddings, open_embeddings

IDS = np.array([2, 3, 5, 9, 11])


def vectors() -> np.ndarray:
    raw = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def write(folder: Path, count: int = 5) -> None:
    with EmbeddingWriter(folder, "d", "plain", IDS, {"fingerprint": "f"}) as sink:
        sink.add(vectors()[:3], np.ones(3))
        sink.add(vectors()[3:count], np.full(count - 3, 2.0))


def test_chunks_come_back_as_one(tmp_path: Path) -> None:
    write(tmp_path)
    found = open_embeddings(tmp_path, "d", verify=True)
    assert np.array_equal(found.vectors, vectors())
    assert found.norms.tolist() == [1, 1, 1, 2, 2]
    assert found.rows_of(np.array([9, 2])).tolist() == [3, 0]
    assert found.facts["fingerprint"] == "f"
    with pytest.raises(FairLabError, match="image 4 has no embedding"):
        found.rows_of(np.array([3, 4]))


def test_stopping_half_way_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, count=4)
    sink = EmbeddingWriter(tmp_path, "d", "plain", IDS, {})
    sink.__enter__()
    sink.add(vectors(), np.ones(5))
    sink.__exit__(RuntimeError)  # what a with block does when its body fails
    assert not has_embeddings(tmp_path, "d", "plain")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(FairLabError, match="has no embeddings of d"):
        open_embeddings(tmp_path, "d")


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """R6: numpy itself reads two of three such files without complaint."""
    write(tmp_path)
    folder = open_embeddings(tmp_path, "d").folder
    dice = random.Random(1)
    for name in ("vectors.npy", "norms.npy", "ids.npy"):
        original = (folder / name).read_bytes()
        for _ in range(70):
            place = dice.randrange(len(original) * 8)
            damaged = bytearray(original)
            damaged[place // 8] ^= 1 << place % 8
            (folder / name).write_bytes(damaged)
            with pytest.raises(Damaged, match=name):
                open_embeddings(tmp_path, "d", verify=True)
        (folder / name).write_bytes(original)


def test_ids_that_do_not_rise_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="must rise"):
        EmbeddingWriter(Path("x"), "d", "plain", np.array([1, 1]), {})
