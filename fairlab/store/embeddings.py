"""Embeddings on disk: unit vectors as one memory-mapped file per run, data set and view, whole or not there.

runs/<run>/embeddings/<data set>/<view>/ {vectors.npy, norms.npy, ids.npy, manifest.json}; row i belongs to ids[i].
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, explain, read_json, verify_manifest, write_manifest
from fairlab.workspace import checked_name

FILES = ("vectors.npy", "norms.npy", "ids.npy")


@dataclass(frozen=True)
class Embeddings:
    """(N, D) unit vectors, their raw norms (N,), and the image ids (N,) they belong to, in rising order."""

    folder: Path
    vectors: np.ndarray
    norms: np.ndarray
    ids: np.ndarray
    facts: dict[str, Any]

    @property
    def hash(self) -> str:
        """Hash of the vectors' file, as recorded when they were written."""
        return str(self.facts["files"]["vectors.npy"]["sha256"])

    def rows_of(self, image_ids: np.ndarray) -> np.ndarray:
        """Row numbers of these images. Raises FairLabError naming the first that is not there."""
        wanted = np.asarray(image_ids)
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        missing = wanted[self.ids[rows] != wanted] if len(self.ids) else wanted
        if len(missing):
            raise FairLabError(f"image {missing[0]} has no embedding in {self.folder}")
        return rows


def embeddings_folder(run_folder: Path, dataset_id: str, view: str) -> Path:
    """Where the embeddings of a data set in a view ("plain" or "flip") lie."""
    return run_folder / "embeddings" / checked_name(dataset_id, "data set") / checked_name(view, "view")


def has_embeddings(run_folder: Path, dataset_id: str, view: str) -> bool:
    """True when they were written to the end."""
    return (embeddings_folder(run_folder, dataset_id, view) / MANIFEST).exists()


class EmbeddingWriter:
    """Collects vectors chunk by chunk in a temporary folder, put in place when all are there.

    `ids` (N,) must rise. Leaving the with-block early (an error, a stop) leaves nothing behind.
    """

    def __init__(self, run_folder: Path, dataset_id: str, view: str, ids: np.ndarray, facts: dict[str, Any]) -> None:
        if len(ids) == 0 or np.any(np.diff(ids) <= 0):
            raise ValueError("image ids must rise and not be empty")
        self.folder = embeddings_folder(run_folder, dataset_id, view)
        self.temporary = self.folder.with_name(f"{self.folder.name}.tmp.{os.getpid()}")
        self.ids, self.facts, self.done = np.asarray(ids, dtype=np.int64), facts, 0
        self._vectors: np.ndarray | None = None
        self._norms = np.zeros(len(ids), dtype=np.float32)

    def __enter__(self) -> EmbeddingWriter:
        shutil.rmtree(self.temporary, ignore_errors=True)
        try:
            self.temporary.mkdir(parents=True)
        except OSError as error:
            raise FairLabError(explain(error, self.folder)) from error
        return self

    def add(self, vectors: np.ndarray, norms: np.ndarray) -> None:
        """The next (B, D) unit vectors and their raw norms (B,), in the order of the ids."""
        try:
            if self._vectors is None:
                shape = (len(self.ids), vectors.shape[1])
                self._vectors = np.lib.format.open_memmap(self.temporary / "vectors.npy", "w+", np.float32, shape)
            self._vectors[self.done : self.done + len(vectors)] = vectors
        except OSError as error:
            raise FairLabError(explain(error, self.folder)) from error
        self._norms[self.done : self.done + len(vectors)] = norms
        self.done += len(vectors)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.done == len(self.ids):
                self._commit()
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _commit(self) -> None:
        assert isinstance(self._vectors, np.memmap)
        try:
            self._vectors.flush()
            np.save(self.temporary / "norms.npy", self._norms)
            np.save(self.temporary / "ids.npy", self.ids)
            write_manifest(self.temporary, FILES, **self.facts, rows=len(self.ids), dim=self._vectors.shape[1])
            if self.folder.exists():
                shutil.rmtree(self.folder)
            os.replace(self.temporary, self.folder)
        except OSError as error:
            raise FairLabError(explain(error, self.folder)) from error


def open_embeddings(run_folder: Path, dataset_id: str, view: str = "plain", verify: bool = False) -> Embeddings:
    """Open stored embeddings, memory-mapped and read-only. `verify` checks the hashes first.

    Raises FairLabError when there are none, Damaged when the files do not fit each other or their manifest.
    """
    folder = embeddings_folder(run_folder, dataset_id, view)
    if not (folder / MANIFEST).exists():
        raise FairLabError(
            f"{run_folder.name} has no embeddings of {dataset_id} ({view}); finish or resume the run, or embed the data set"
        )
    facts = verify_manifest(folder) if verify else read_json(folder / MANIFEST)
    try:
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        norms = np.load(folder / "norms.npy", allow_pickle=False)
        ids = np.load(folder / "ids.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Damaged(f"{folder} is damaged: {error}") from error
    if vectors.ndim != 2 or not len(vectors) == len(norms) == len(ids) == facts.get("rows"):
        raise Damaged(f"{folder} is damaged: its files have different numbers of rows")
    return Embeddings(folder, vectors, norms, ids, facts)
