"""Stored embeddings: all or nothing, and a damaged file is found."""

from __future__ import annotations

import random
import signal
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
    with pytest.raises(ValueError, match="only 4 of 5 embeddings arrived"):
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
    """Numpy itself reads two of three such files without complaint."""
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


@pytest.mark.parametrize("name", ["vectors.npy", "norms.npy", "ids.npy", "manifest.json"])
def test_quick_opening_knows_only_errors_of_ours(tmp_path: Path, name: str) -> None:
    """Without hashing too; numpy raises SyntaxError, KeyError and more for damaged headers. 200 cuts, 400 flips."""
    write(tmp_path)
    folder = open_embeddings(tmp_path, "d").folder
    original, dice = (folder / name).read_bytes(), random.Random(2)
    for number in range(600):
        damaged = bytearray(original)
        if number < 200:
            damaged = damaged[: dice.randrange(len(original))]
        else:
            damaged[dice.randrange(min(len(original), 160))] ^= 1 << dice.randrange(8)
        (folder / name).write_bytes(damaged)
        try:
            found = open_embeddings(tmp_path, "d")
            assert number >= 200
            assert (found.vectors.shape, found.norms.shape, found.ids.shape) == ((5, 4), (5,), (5,))
        except FairLabError as error:
            assert str(folder) in str(error)  # noqa: PT017 - most flips raise, some do no harm


def test_a_vector_that_is_not_finite_is_refused_by_name(tmp_path: Path) -> None:
    """What a diverged network makes must not become a space."""
    broken = vectors()
    broken[3, 1] = np.nan
    sink = EmbeddingWriter(tmp_path, "d", "plain", IDS, {}).__enter__()
    sink.add(broken[:2], np.ones(2))
    with pytest.raises(FairLabError, match="the embedding of image 9 is not a finite vector"):
        sink.add(broken[2:], np.ones(3))
    sink.__exit__(FairLabError)
    assert not has_embeddings(tmp_path, "d", "plain")


def test_more_or_other_vectors_than_announced_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with EmbeddingWriter(tmp_path, "d", "plain", IDS, {}) as sink:
        sink.add(vectors()[:2], np.ones(2))
        with pytest.raises(ValueError, match="do not fit 5 ids"):
            sink.add(vectors(), np.ones(5))
        with pytest.raises(ValueError, match="do not fit 5 ids"):
            sink.add(vectors()[2:, :3], np.ones(3))
        sink.add(vectors()[2:], np.ones(3))
    assert np.array_equal(open_embeddings(tmp_path, "d", verify=True).vectors, vectors())


def _write_blocks(folder: Path, blocks: int) -> None:
    with EmbeddingWriter(folder, "d", "plain", np.arange(100 * blocks), {}) as sink:
        for _ in range(blocks):
            sink.add(np.ones((100, 64), np.float32), np.ones(100))


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    """Mapped files would end it with SIGBUS; here the system's limit on a file's size stands for the full disk."""
    import resource

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
    try:
        with pytest.raises(FairLabError, match="could not write"):
            _write_blocks(tmp_path, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not has_embeddings(tmp_path, "d", "plain")


def test_ids_that_do_not_rise_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="must be strictly increasing"):
        EmbeddingWriter(Path("x"), "d", "plain", np.array([1, 1]), {})
