"""Search: exact where it says so, a cache that is made again whenever it is odd, and right without FAISS."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.errors import FairLabError
from fairlab.store import index as module
from fairlab.store.embeddings import Embeddings, EmbeddingWriter, open_embeddings
from fairlab.store.index import build_index, knn, knn_of_many, knn_within, neighbours, open_index
from tests.forks import FORK, fork


def unit(count: int, dim: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def stored(folder: Path, vectors: np.ndarray, first_id: int = 100) -> Embeddings:
    with EmbeddingWriter(folder, "d", "plain", np.arange(first_id, first_id + len(vectors)), {}) as sink:
        sink.add(vectors, np.ones(len(vectors)))
    return open_embeddings(folder, "d")


def brute(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]


@pytest.fixture(params=["faiss", "numpy"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With FAISS, and as on a machine that has none."""
    if request.param == "numpy":
        monkeypatch.setattr(module, "_faiss", lambda: None)
    else:
        pytest.importorskip("faiss")
    return str(request.param)


def test_search_equals_brute_force(engine: str, tmp_path: Path) -> None:
    """1,000 queries, recall exactly 1."""
    vectors = unit(3000, 32)
    found = build_index(stored(tmp_path, vectors))
    queries = unit(1000, 32, 1)
    scores, ids = found.search(queries, 10)
    assert found.recall == 1
    assert np.array_equal(ids - 100, brute(vectors, queries, 10))
    assert np.allclose(scores, np.take_along_axis(queries @ vectors.T, ids - 100, 1), atol=1e-5)


def test_neighbours_leave_the_face_itself_out(engine: str, tmp_path: Path) -> None:
    vectors = unit(50, 8)
    embeddings = stored(tmp_path, vectors)
    table = neighbours(build_index(embeddings), embeddings, 107, 5)
    assert 107 not in set(table["image_id"])
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert (table["image_id"] - 100).tolist() == brute(vectors, vectors[7:8], 6)[0, 1:].tolist()


def test_every_row_is_its_own_first_neighbour_even_among_duplicates(engine: str) -> None:
    vectors = np.repeat(unit(6, 4), 3, axis=0)
    rows, cosines = knn(vectors, 5)
    assert rows[:, 0].tolist() == list(range(18))
    assert np.allclose(cosines[:, :3], 1, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 40, 60])
def test_neighbours_of_all_are_those_of_brute_force(engine: str, k: int) -> None:
    vectors = unit(50, 8)
    rows, cosines = knn(vectors, k)
    truth = vectors.astype(float) @ vectors.astype(float).T
    np.fill_diagonal(truth, 2)
    assert np.array_equal(rows, np.argsort(-truth, axis=1, kind="stable")[:, :k])
    np.fill_diagonal(truth, 1)
    assert np.allclose(cosines, np.take_along_axis(truth, rows, 1), atol=1e-7)


def test_a_hundred_copies_of_a_face_keep_their_own_rows_first(engine: str) -> None:
    vectors = np.repeat(unit(1, 4), 100, axis=0)
    rows, _ = knn(vectors, 5)
    assert rows[:, 0].tolist() == list(range(100))
    assert all(len(set(row)) == 5 for row in rows.tolist())


def test_neighbours_do_not_hang_on_the_number_of_threads() -> None:
    """A map made of them would: the last bit of one cosine moves every point."""
    code = (
        "import numpy, hashlib; from fairlab.store.index import knn, knn_of_many, knn_within\n"
        "raw, tell = numpy.random.default_rng(0).normal(size=(4096, 128)), lambda done, of: None\n"
        "raw = (raw / numpy.linalg.norm(raw, axis=1, keepdims=True)).astype(numpy.float32)\n"
        "found = *knn(raw[:900], 15), *knn_within(raw[:1500], raw, 3, tell), *knn_of_many(raw, 15, tell)[:2]\n"
        "print([hashlib.sha256(part.tobytes()).hexdigest() for part in found])"
    )
    said = set()
    for threads in ("1", "2", "4"):
        names = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
        said.add(subprocess.check_output([sys.executable, "-c", code], env={**os.environ, **names, **paths}))
    assert len(said) == 1


def test_an_odd_index_file_is_made_again(tmp_path: Path) -> None:
    """Another hash, cut off, of other vectors: never a stale hit."""
    pytest.importorskip("faiss")
    vectors = unit(40, 8)
    embeddings = stored(tmp_path, vectors)
    build_index(embeddings)
    path = embeddings.folder / "index.faiss"
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", whole[:-1] + b"x"):
        path.write_bytes(damage)
        _, ids = open_index(embeddings).search(vectors[:5], 1)
        assert ids[:, 0].tolist() == [100, 101, 102, 103, 104]
        assert path.read_bytes() == whole
    other = stored(tmp_path / "other", unit(40, 8, 9))
    for name in ("index.faiss", "index.json"):
        (other.folder / name).write_bytes((embeddings.folder / name).read_bytes())
    _, ids = open_index(other).search(np.asarray(other.vectors[:5]), 1)
    assert ids[:, 0].tolist() == [100, 101, 102, 103, 104]


def _embed_for_ever(folder: Path, begun: Any) -> None:
    number = 0
    while True:
        number += 1
        embeddings = stored(folder, unit(1000, 16, number), first_id=number)
        begun.value = number
        build_index(embeddings)


@pytest.mark.slow
def test_a_kill_between_store_and_index_leaves_no_stale_hit(tmp_path: Path) -> None:
    """100 kills while 1,000 embeddings are replaced and indexed again and again: search is brute force over the store."""
    pytest.importorskip("faiss")
    searched = 0
    for _ in range(100):
        begun = FORK.Value("i", 0)
        child = fork(_embed_for_ever, tmp_path, begun)
        while not begun.value and child.is_alive():
            time.sleep(0.001)
        time.sleep(random.random() * 0.03)
        child.kill()
        child.join()
        try:
            found = open_embeddings(tmp_path, "d")
        except FairLabError:
            continue  # killed between taking the old ones away and placing the new: they are made again
        queries = np.asarray(found.vectors[:20])
        _, ids = open_index(found).search(queries, 5)
        assert np.array_equal(ids, found.ids[brute(np.asarray(found.vectors), queries, 5)])
        searched += 1
    print(f"{searched} of 100 searched, all exact")
    assert searched > 60


def test_many_rows_get_an_inverted_file_with_its_measured_recall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recall that is stated is the one that brute force finds, within its sampling error."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "FLAT_UP_TO", 1000)
    centres = unit(60, 16)
    vectors = np.repeat(centres, 50, 0) + 0.25 * np.random.default_rng(3).normal(size=(3000, 16)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = build_index(stored(tmp_path, vectors))
    assert found.kind == "ivf"
    assert found.recall >= module.RECALL_WANTED
    _, ids = found.search(vectors[::3], 10)
    truth = brute(vectors, vectors[::3], 10)
    recall = np.mean([len(set(a - 100) & set(b)) / 10 for a, b in zip(ids, truth, strict=True)])
    assert abs(recall - found.recall) < 0.03


def test_an_index_that_cannot_be_kept_serves_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a workspace on a full or read-only disk."""
    faiss = pytest.importorskip("faiss")
    embeddings = stored(tmp_path, unit(40, 8))

    def full(*_: object) -> None:
        raise RuntimeError("Error in write_index: Error: 'ret == 1' failed: No space left on device")

    monkeypatch.setattr(faiss, "write_index", full)
    _, ids = open_index(embeddings).search(np.asarray(embeddings.vectors[:5]), 1)
    assert ids[:, 0].tolist() == [100, 101, 102, 103, 104]
    assert sorted(path.name for path in embeddings.folder.iterdir()) == [
        "ids.npy",
        "manifest.json",
        "norms.npy",
        "vectors.npy",
    ]


def test_a_query_of_another_space_is_refused(engine: str, tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match="the query has 4 dims, this space has 8"):
        build_index(stored(tmp_path, unit(40, 8))).search(unit(2, 4), 3)


def test_more_neighbours_than_rows_gives_all_rows(engine: str, tmp_path: Path) -> None:
    embeddings = stored(tmp_path, unit(7, 8))
    scores, ids = build_index(embeddings).search(np.asarray(embeddings.vectors[:2]), 50)
    assert ids.shape == (2, 7)
    assert (np.diff(scores) <= 0).all()
    assert len(neighbours(build_index(embeddings), embeddings, 103, 50)) == 6


def test_a_faiss_that_does_not_start_counts_as_none(tmp_path: Path) -> None:
    """The GPU wheel without NVIDIA's libraries raises RuntimeError at import; seen in a fresh process."""
    (tmp_path / "faiss").mkdir()
    (tmp_path / "faiss" / "__init__.py").write_text(
        "raise RuntimeError('faiss-gpu installed but nvidia-... is missing')"
    )
    code = "from fairlab.store.index import faiss_status, knn; import numpy; print(faiss_status(), knn(numpy.eye(4), 2)[0][:, 0])"
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert result.stdout.startswith("none that loads: exact search by numpy"), result.stderr
    assert result.stdout.endswith("[0 1 2 3]\n")


def test_an_empty_faiss_package_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left when one of the two wheels is uninstalled: it imports, and has nothing in it."""
    module._faiss.cache_clear()
    monkeypatch.setitem(sys.modules, "faiss", types.ModuleType("faiss"))
    try:
        assert module._faiss() is None
        assert "none that loads" in module.faiss_status()
    finally:
        module._faiss.cache_clear()


def test_neighbours_of_many_rows(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """120 people with 10 images: the own person's are found, itself first; all of them and the rest too without FAISS."""
    monkeypatch.setattr(module, "ASKED_AT_ONCE", 1000)
    random, asked = np.random.default_rng(0), list[tuple[int, int]]()
    raw = np.repeat(unit(120, 64), 10, 0) + 0.05 * random.normal(size=(1200, 64))
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    rows, cosines, recall = knn_of_many(vectors, 12, lambda done, of: asked.append((done, of)))
    assert asked == [(0, 1200), (1000, 1200)]
    assert (rows[:, 0] == np.arange(1200)).all()
    assert np.mean(rows[:, :10] // 10 == np.arange(1200)[:, None] // 10) > 0.99
    true = brute(vectors, vectors, 12)
    shared = np.mean([len(set(a) & set(b)) / 12 for a, b in zip(rows, true, strict=True)])
    assert recall == pytest.approx(shared, abs=0.03)
    assert shared > (0.95 if engine == "faiss" else 0.9999)
    there = np.einsum("nd,nkd->nk", vectors, vectors[rows])
    assert np.abs(np.where(cosines == -1, there, cosines) - there).max() < 1e-5


@pytest.mark.usefixtures("engine")
def test_duplicates_among_many_rows_find_themselves_first() -> None:
    vectors = np.repeat(unit(3, 8), 40, 0)
    rows, _, recall = knn_of_many(vectors, 5, lambda done, of: None)
    assert (rows[:, 0] == np.arange(120)).all()
    assert (rows // 40 == np.arange(120)[:, None] // 40).all()
    assert 0 <= recall <= 1


@pytest.mark.usefixtures("engine")
def test_neighbours_within_others_are_exact() -> None:
    known, queries = unit(50, 16), unit(300, 16, 1)
    rows, cosines = knn_within(known, queries, 3, lambda done, of: None)
    assert np.array_equal(rows, brute(known, queries, 3))
    assert cosines == pytest.approx(np.take_along_axis(queries @ known.T, rows, 1), abs=1e-6)
    assert knn_within(known[:2], queries, 3, lambda done, of: None)[0].shape == (300, 2)
