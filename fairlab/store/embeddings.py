"""Embeddings on disk: unit vectors as one memory-mapped file per run, data set and view, whole or not there.

runs/<run>/embeddings/<data set>/<view>/ {vectors.npy, norms.npy, ids.npy, manifest.json}; row i belongs to ids[i].
"""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, explain, make_folder, place_folder, read_manifest, verify_manifest, write_manifest
from fairlab.machine.temporaries import beside
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


def embedded_sets(run_folder: Path) -> list[str]:
    """Data sets of which the run has embeddings, oldest first."""
    found = [path for path in (run_folder / "embeddings").glob(f"*/plain/{MANIFEST}") if ".tmp." not in str(path)]
    return [path.parent.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


class EmbeddingWriter:
    """Collects vectors chunk by chunk in a temporary folder, put in place when all are there.

    `ids` (N,) must rise. Leaving the with-block early (an error, a stop) leaves nothing behind.
    """

    def __init__(self, run_folder: Path, dataset_id: str, view: str, ids: np.ndarray, facts: dict[str, Any]) -> None:
        if len(ids) == 0 or np.any(np.diff(ids) <= 0):
            raise ValueError("image ids must be strictly increasing and not empty")
        self.folder = embeddings_folder(run_folder, dataset_id, view)
        self.temporary = beside(self.folder)
        self.ids, self.facts, self.done = np.asarray(ids, dtype=np.int64), facts, 0
        self._file: IO[bytes] | None = None
        self._dim = 0
        self._norms = np.zeros(len(ids), dtype=np.float32)

    def __enter__(self) -> EmbeddingWriter:
        shutil.rmtree(self.temporary, ignore_errors=True)
        try:
            make_folder(self.temporary)
        except OSError as error:
            raise FairLabError(explain(error, self.folder)) from error
        return self

    def add(self, vectors: np.ndarray, norms: np.ndarray) -> None:
        """The next (B, D) unit vectors and their raw norms (B,), in the order of the ids.

        Raises FairLabError for a vector that is not finite (named by its image) and when the disk is full. The file is
        written, not mapped: writing to a mapped file on a full disk would kill the process instead.
        """
        after = self.done + len(vectors)
        if after > len(self.ids) or len(vectors) != len(norms) or (self._dim and vectors.shape[1] != self._dim):
            raise ValueError(f"{vectors.shape} vectors and {len(norms)} norms do not fit {len(self.ids)} ids")
        check_finite(vectors, norms, self.ids[self.done : after])
        try:
            if self._file is None:
                self._dim = vectors.shape[1]
                self._file = open(self.temporary / "vectors.npy", "wb")  # noqa: SIM115 - closed in __exit__
                self._file.write(array_header((len(self.ids), self._dim)))
            self._file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
        except OSError as error:
            raise FairLabError(explain(error, self.folder)) from error
        self._norms[self.done : after] = norms
        self.done = after

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._file is not None:
                self._file.close()
            if kind is None:
                if self.done < len(self.ids):
                    raise ValueError(f"only {self.done} of {len(self.ids)} embeddings arrived")
                self._commit()
        except OSError as error:
            if kind is None:  # otherwise the first trouble is the one to tell
                raise FairLabError(explain(error, self.folder)) from error
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _commit(self) -> None:
        np.save(self.temporary / "norms.npy", self._norms)
        np.save(self.temporary / "ids.npy", self.ids)
        write_manifest(self.temporary, FILES, **self.facts, rows=len(self.ids), dim=self._dim)
        place_folder(self.temporary, self.folder)


def array_header(shape: tuple[int, ...]) -> bytes:
    """What stands before the values in a .npy file of float32."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def check_finite(vectors: np.ndarray, norms: np.ndarray, ids: np.ndarray) -> None:
    """Raise FairLabError naming the first of the images (B,) whose vector or norm is not finite."""
    bad = ~(np.isfinite(vectors).all(axis=1) & np.isfinite(norms))
    if bad.any():
        raise FairLabError(f"the embedding of image {ids[bad][0]} is not a finite vector")


def open_embeddings(run_folder: Path, dataset_id: str, view: str = "plain", verify: bool = False) -> Embeddings:
    """Open stored embeddings, memory-mapped and read-only. `verify` checks the hashes first.

    Raises FairLabError when there are none, Damaged when the files do not fit each other or their manifest.
    """
    folder = embeddings_folder(run_folder, dataset_id, view)
    if not (folder / MANIFEST).exists():
        raise FairLabError(
            f"{run_folder.name} has no embeddings of {dataset_id} ({view}); finish or resume the run, or embed the data set"
        )
    facts = verify_manifest(folder) if verify else read_manifest(folder)
    try:
        for name in FILES:
            if (folder / name).stat().st_size != facts["files"][name]["bytes"]:
                raise Damaged(
                    f"{folder / name} is damaged: its size differs from the one recorded in {folder / MANIFEST}"
                )
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        norms = np.load(folder / "norms.npy", allow_pickle=False)
        ids = np.load(folder / "ids.npy", allow_pickle=False)
    except Damaged:
        raise
    except Exception as error:  # a damaged header makes numpy raise nearly anything, even SyntaxError
        raise Damaged(f"{folder} is damaged: {type(error).__name__}: {error}") from error
    rows, dim = facts.get("rows"), facts.get("dim")
    shapes = [(vectors.shape, vectors.dtype), (norms.shape, norms.dtype), (ids.shape, ids.dtype)]
    if (
        shapes != [((rows, dim), np.float32), ((rows,), np.float32), ((rows,), np.int64)]
        or not vectors.flags.c_contiguous
    ):
        raise Damaged(f"{folder} is damaged: its files do not have the shapes recorded in {MANIFEST}")
    return Embeddings(folder, vectors, norms, ids, facts)
