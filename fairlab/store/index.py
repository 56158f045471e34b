"""Nearest neighbours among stored embeddings. An index is a cache of the vectors: anything odd, and it is made again.

The only place that knows FAISS. Without it the same questions are answered exactly by numpy, only slower.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.files import read_json, sha256, write_atomic, write_json
from fairlab.store.embeddings import Embeddings
from fairlab.tables import WHOLE, Table

log = logging.getLogger(__name__)
FLAT_UP_TO = 200_000
"""Rows searched exactly; more get an inverted file."""
BLAS_FROM = 2048
"""FAISS would search batches under 250 queries without BLAS, up to 21 times slower."""
RECALL_WANTED, RECALL_QUERIES = 0.95, 200
ADDED = 65_536
"""Rows added together: 128 MB at 512 dims."""
INDEX_FILE, FACTS_FILE = "index.faiss", "index.json"


@cache
def _faiss() -> ModuleType | None:
    """The faiss module if it really works: a half-removed wheel leaves an empty package that imports."""
    try:
        import faiss
    except Exception:  # a GPU wheel without its driver raises more kinds than ImportError; faiss_status says so
        return None
    if not hasattr(faiss, "IndexFlatIP"):
        return None
    if hasattr(faiss.cvar, "distance_compute_blas_threshold"):
        faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
    return faiss


def faiss_status() -> str:
    """Which FAISS is at work, in words."""
    faiss = _faiss()
    if faiss is None:
        return "none that loads: exact search by numpy (install the extra [cpu] or [gpu] for speed)"
    gpus = _gpus(faiss)
    return f"faiss {faiss.__version__}, " + (f"{gpus} GPU" if gpus else "CPU")


def _gpus(faiss: ModuleType) -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


@dataclass(frozen=True)
class Index:
    """Search among embeddings. kind: "flat", "ivf" or "numpy"; recall: share of true neighbours found (1 = exact)."""

    kind: str
    recall: float
    ids: np.ndarray
    vectors: np.ndarray
    engine: Any = None

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(cosines (Q, k), image ids (Q, k)), most alike first; `queries` (Q, D) unit. k is cut to the rows there are."""
        k = min(k, len(self.ids))
        questions = np.ascontiguousarray(np.atleast_2d(queries), dtype=np.float32)
        if questions.shape[1] != self.vectors.shape[1]:
            raise FairLabError(f"the query has {questions.shape[1]} dims, this space has {self.vectors.shape[1]}")
        if self.engine is None:
            scores, rows = _numpy_search(self.vectors, questions, k)
        else:
            scores, rows = self.engine.search(questions, k)
        found = np.where(rows >= 0, self.ids[rows], -1)  # an inverted file may find fewer than k
        return scores, found


def _numpy_search(
    vectors: np.ndarray, queries: np.ndarray, k: int, chunk: int = 16_384
) -> tuple[np.ndarray, np.ndarray]:
    """Exact search by blocks, so that memory does not grow with the rows."""
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    for start in range(0, len(vectors), chunk):
        scores = queries @ np.asarray(vectors[start : start + chunk], dtype=np.float32).T
        best = np.concatenate([best, scores], axis=1)
        numbers = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        rows = np.concatenate([rows, numbers], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(best, order, 1), np.take_along_axis(rows, order, 1)
    return best, rows


def index_over(ids: np.ndarray, vectors: np.ndarray) -> Index:
    """The index of some vectors (N, D) of images `ids` (N,), in memory only."""
    faiss = _faiss()
    if faiss is None:
        return Index("numpy", 1.0, ids, vectors)
    kind, recall, engine = _engine(faiss, vectors)
    return Index(kind, recall, ids, vectors, _on_gpu(faiss, engine))


def _engine(faiss: ModuleType, vectors: np.ndarray) -> tuple[str, float, Any]:
    """(kind, recall, the index itself) that fits so many vectors."""
    if len(vectors) > FLAT_UP_TO:
        engine, recall = _inverted_file(faiss, vectors)
        return "ivf", recall, engine
    engine = faiss.IndexFlatIP(vectors.shape[1])
    _add(engine, vectors)
    return "flat", 1.0, engine


def _add(engine: Any, vectors: np.ndarray) -> None:
    """Block by block, so that a memory-mapped file is never whole in memory beside the index."""
    for start in range(0, len(vectors), ADDED):
        engine.add(_plain(vectors[start : start + ADDED]))


def _plain(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows, dtype=np.float32)


def build_index(embeddings: Embeddings) -> Index:
    """Make the index of stored embeddings and write it beside them, with what it was made from."""
    faiss = _faiss()
    if faiss is None:
        return Index("numpy", 1.0, embeddings.ids, embeddings.vectors)
    vectors = embeddings.vectors
    kind, recall, engine = _engine(faiss, vectors)
    path = embeddings.folder / INDEX_FILE
    try:
        write_atomic(path, lambda temporary: _write(faiss, engine, temporary))
        facts = {
            "kind": kind,
            "recall": recall,
            "rows": len(vectors),
            "vectors": embeddings.hash,
            "sha256": sha256(path),
        }
        write_json(embeddings.folder / FACTS_FILE, facts)
    except (FairLabError, OSError) as error:  # only a cache: search works without it
        log.warning("the index of %s is not kept: %s", embeddings.folder, error)
    return Index(kind, recall, embeddings.ids, embeddings.vectors, _on_gpu(faiss, engine))


def _write(faiss: ModuleType, engine: Any, path: Path) -> None:
    try:
        faiss.write_index(engine, str(path))
    except RuntimeError as error:  # its only way to say that the disk is full or not writable
        raise OSError(errno.EIO, str(error).rpartition("Error:")[2].strip() or str(error)) from error


def _inverted_file(faiss: ModuleType, vectors: np.ndarray) -> tuple[Any, float]:
    """An IVF index with the fewest probes that find RECALL_WANTED of the true 10 neighbours, and the share found."""
    lists = int(4 * np.sqrt(len(vectors)))
    engine = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT
    )
    random = np.random.default_rng(0)
    engine.train(_plain(vectors[random.choice(len(vectors), min(len(vectors), 64 * lists), replace=False)]))
    _add(engine, vectors)
    queries = _plain(vectors[random.choice(len(vectors), RECALL_QUERIES, replace=False)])
    _, truth = _numpy_search(vectors, queries, 10)
    recall = 0.0
    for probes in (8, 16, 32, 64, 128, 256, lists):
        engine.nprobe = min(probes, lists)
        _, found = engine.search(queries, 10)
        recall = float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True)]))
        if recall >= RECALL_WANTED:
            break
    return engine, recall


def _on_gpu(faiss: ModuleType, engine: Any) -> Any:
    if not _gpus(faiss):
        return engine
    try:
        return faiss.index_cpu_to_all_gpus(engine)
    except RuntimeError as error:  # no memory left there, or a driver that does not fit
        log.warning("search stays on the processor: %s", error)
        return engine


def open_index(embeddings: Embeddings) -> Index:
    """The stored index if it is exactly that of these embeddings, otherwise a new one."""
    faiss = _faiss()
    if faiss is None:
        return Index("numpy", 1.0, embeddings.ids, embeddings.vectors)
    folder = embeddings.folder
    try:
        facts = read_json(folder / FACTS_FILE)
        whole = facts["vectors"] == embeddings.hash and facts["sha256"] == sha256(folder / INDEX_FILE)
        whole = whole and facts["kind"] in ("flat", "ivf") and 0 <= facts["recall"] <= 1
    except (FairLabError, OSError, KeyError, TypeError):
        whole = False
    if not whole:
        return build_index(embeddings)
    try:
        engine = faiss.read_index(str(folder / INDEX_FILE))  # our own file: its hash has just been checked
    except RuntimeError:  # of another FAISS
        return build_index(embeddings)
    if engine.ntotal != len(embeddings.ids) or engine.d != embeddings.vectors.shape[1]:
        return build_index(embeddings)
    return Index(facts["kind"], facts["recall"], embeddings.ids, embeddings.vectors, _on_gpu(faiss, engine))


NEIGHBOURS = Table(image_id=WHOLE, score="float32", rank=WHOLE)
"""A row is an image like another; score: cosine; rank: from 1."""


def index_among(embeddings: Embeddings, among: np.ndarray) -> Index:
    """The index over the embeddings of some images; those of them without one are passed over."""
    ids = embeddings.ids[np.isin(embeddings.ids, among)]
    return index_over(ids, np.ascontiguousarray(embeddings.vectors[embeddings.rows_of(ids)], dtype=np.float32))


def neighbours(index: Index, embeddings: Embeddings, image_id: int, k: int) -> pd.DataFrame:
    """The k images most like one image, without itself: NEIGHBOURS."""
    query = embeddings.vectors[embeddings.rows_of(np.array([image_id]))]
    scores, ids = index.search(query, k + 1)
    kept = np.flatnonzero((ids[0] != image_id) & (ids[0] >= 0))[:k]
    return NEIGHBOURS.of({"image_id": ids[0][kept], "score": scores[0][kept], "rank": np.arange(1, len(kept) + 1)})


SPARE = 8
"""Candidates looked at beyond the k-th, so that rounding in the search does not decide who is among the k."""


def knn(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact neighbours of every row among all rows, itself first: (rows (N, k) int64, cosines (N, k) float32).

    FAISS's and BLAS's sums differ in their last bits with the number of threads, and a map makes much of that; so the
    search only finds candidates, and their cosines are added up again one by one in double precision. Equal ones
    come in the order of their rows.
    """
    unit = np.ascontiguousarray(vectors, dtype=np.float32)
    wanted = min(k + SPARE, len(unit))
    faiss = _faiss()
    if faiss is not None:
        engine = faiss.IndexFlatIP(unit.shape[1])
        engine.add(unit)
        _, candidates = engine.search(unit, wanted)
    else:
        _, candidates = _numpy_search(unit, unit, wanted)
    near, own = np.sort(candidates, axis=1), np.arange(len(unit))
    lost = ~(near == own[:, None]).any(axis=1)
    near[lost, -1] = own[lost]  # so many duplicates that the row itself was not among the candidates
    scores = _added_up(unit, unit, near)
    order = np.argsort(np.where(near == own[:, None], -np.inf, -scores), axis=1, kind="stable")[:, : min(k, len(unit))]
    return np.take_along_axis(near, order, 1), np.take_along_axis(scores, order, 1).astype(np.float32)


def _added_up(queries: np.ndarray, known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(Q, K) cosines of queries (Q, D) and their `rows` (Q, K) of known (M, D), one by one in double precision."""
    cosines = np.empty(rows.shape)
    step = max(1, 8_000_000 // (rows.shape[1] * queries.shape[1]))  # 64 MB of doubles at a time
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        asked, there = queries[part].astype(np.float64), known[rows[part]].astype(np.float64)
        cosines[part] = np.einsum("nd,nkd->nk", asked, there)
    return cosines


PROBES = 12
"""Cells searched for the neighbours of each of many rows: of faces, the own person's images lie in the nearest ones."""
ASKED_AT_ONCE = 4096
Done = Callable[[int, int], None]


def knn_of_many(vectors: np.ndarray, k: int, done: Done) -> tuple[np.ndarray, np.ndarray, float]:
    """Neighbours of every row among all rows, itself first, for pictures of more rows than knn() is fit for.

    (rows (N, k) int64, cosines (N, k) float32, share of the true neighbours found, measured on RECALL_QUERIES rows).
    Approximate: an inverted file with PROBES cells a row. Without FAISS exact, and slow. done(rows, of): called on the way.
    """
    faiss = _faiss()
    k = min(k, len(vectors))
    engine = None if faiss is None else _cells(faiss, vectors)
    rows, cosines = _searched(engine, vectors, vectors, k + 1, done)
    own = np.arange(len(vectors))
    order = np.argsort(np.where(rows == own[:, None], -np.inf, -cosines), axis=1, kind="stable")[:, :k]
    rows, cosines = np.take_along_axis(rows, order, 1), np.take_along_axis(cosines, order, 1)
    lost = rows[:, 0] != own  # so many duplicates that the row itself was not found among them
    rows[lost, 0], cosines[lost, 0] = own[lost], 1.0
    few = rows < 0  # cells too small for k neighbours: the row itself, which pulls nobody
    rows[few], cosines[few] = np.broadcast_to(own[:, None], rows.shape)[few], -1.0
    asked = np.random.default_rng(0).choice(len(vectors), min(RECALL_QUERIES, len(vectors)), replace=False)
    _, truth = _numpy_search(vectors, _plain(vectors[asked]), k)
    return rows, cosines, float(np.mean([len(set(a) & set(b)) / k for a, b in zip(rows[asked], truth, strict=True)]))


def knn_within(known: np.ndarray, queries: np.ndarray, k: int, done: Done) -> tuple[np.ndarray, np.ndarray]:
    """(rows (Q, k) of `known` (M, D) most alike, cosines (Q, k)), exact, and to the bit whatever the number of threads, as
    knn(); done(queries, of): called on the way."""
    faiss = _faiss()
    engine = None if faiss is None else faiss.IndexFlatIP(known.shape[1])
    if engine is not None:
        _add(engine, known)
    near = np.sort(_searched(engine, known, queries, min(k + SPARE, len(known)), done)[0], axis=1)
    scores = _added_up(queries, known, near)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, 1), np.take_along_axis(scores, order, 1).astype(np.float32)


def _cells(faiss: ModuleType, vectors: np.ndarray) -> Any:
    lists = max(1, int(4 * np.sqrt(len(vectors))))
    engine = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT
    )
    random = np.random.default_rng(0)
    engine.cp.min_points_per_centroid = 1
    engine.train(_plain(vectors[np.sort(random.choice(len(vectors), min(len(vectors), 40 * lists), replace=False))]))
    _add(engine, vectors)
    engine.nprobe = min(PROBES, lists)
    return engine


def _searched(engine: Any, known: np.ndarray, queries: np.ndarray, k: int, done: Done) -> tuple[np.ndarray, np.ndarray]:
    rows = np.empty((len(queries), k), dtype=np.int64)
    cosines = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), ASKED_AT_ONCE):
        done(start, len(queries))
        part = slice(start, start + ASKED_AT_ONCE)
        asked = _plain(queries[part])
        cosines[part], rows[part] = _numpy_search(known, asked, k) if engine is None else engine.search(asked, k)
    return rows, cosines
