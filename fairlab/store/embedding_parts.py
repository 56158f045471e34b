"""Embeddings on their way: parts of a view, made by any number of processes in any order, then put together.

embeddings/<data set>/<view>.parts/ {about.json, 00000/ {vectors, norms, manifest.json}, ..., whole/}. A part is whole or
not there. What is put together is appended to whole/ and then removed, so the disk never holds everything twice; a part's
manifest stays until the end and says what the bytes in whole/ must be.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, digest, explain, place_folder, read_json, read_manifest, write_json, write_manifest
from fairlab.machine.temporaries import beside, sweep
from fairlab.store.embeddings import FILES, array_header, check_finite, embeddings_folder

ABOUT = "about.json"
NAMES = ("vectors", "norms")
COPIED = 1 << 24
"""Bytes that are copied at a time."""
SEEN_WITHIN_S = 90.0
"""A shared folder shows what another machine wrote a little later: NFS keeps a listing for up to a minute."""


class EmbeddingParts:
    """The parts of one view: rows k * part_rows to (k + 1) * part_rows of `ids` (N,), for k = 0, 1, ...

    key: all that decides the vectors. Parts of another key, and damaged ones, are never taken.
    """

    def __init__(
        self, run_folder: Path, dataset_id: str, view: str, ids: np.ndarray, part_rows: int, key: dict[str, Any]
    ) -> None:
        self.run_folder, self.dataset_id, self.view = run_folder, dataset_id, view
        self.ids, self.part_rows = np.asarray(ids, dtype=np.int64), part_rows
        self.target = embeddings_folder(run_folder, dataset_id, view)
        self.folder = self.target.with_name(f"{view}.parts")
        ids_hash = hashlib.sha256(self.ids.tobytes()).hexdigest()
        self.key = digest({**key, "view": view, "ids": ids_hash, "part_rows": part_rows})

    @property
    def count(self) -> int:
        """How many parts the view has."""
        return -(-len(self.ids) // self.part_rows)

    def rows(self, number: int) -> slice:
        """The rows of a part."""
        return slice(number * self.part_rows, min((number + 1) * self.part_rows, len(self.ids)))

    def prepare(self) -> list[int]:
        """Make room, throw away what is foreign or damaged, and return the numbers of the parts that are missing.

        For one process, before any other writes. Every byte that is there is read once.
        """
        about = self.folder / ABOUT
        try:
            if about.exists() and read_json(about) != {"key": self.key}:
                self.discard()
        except FairLabError:
            self.discard()
        write_json(about, {"key": self.key})
        sweep(self.folder)
        missing = [number for number in range(self.count) if not self._sound(number)]
        for number in missing:
            shutil.rmtree(self._part(number), ignore_errors=True)
        return missing

    def save(self, number: int, vectors: np.ndarray, norms: np.ndarray) -> None:
        """Keep a part: (rows, D) unit vectors and their raw norms (rows,). Raises FairLabError as EmbeddingWriter."""
        rows = self.rows(number)
        if len(vectors) != len(norms) or len(vectors) != rows.stop - rows.start:
            raise ValueError(f"{vectors.shape} vectors and {len(norms)} norms are not part {number}, {rows}")
        check_finite(vectors, norms, self.ids[rows])
        folder = self._part(number)
        temporary = beside(folder)
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            for name, values in zip(NAMES, (vectors, norms), strict=True):
                np.ascontiguousarray(values, dtype="<f4").tofile(temporary / name)
            write_manifest(temporary, NAMES, key=self.key, number=number, dim=vectors.shape[1])
            place_folder(temporary, folder)
        except OSError as error:
            raise FairLabError(explain(error, folder)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def rows_there(self) -> int:
        """Rows of the parts that somebody has finished, by their names alone; for a progress bar."""
        numbers = (int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit())
        return sum(rows.stop - rows.start for rows in map(self.rows, numbers))

    def merge(self, facts: dict[str, Any]) -> None:
        """Put all parts together as stored embeddings, byte for byte what EmbeddingWriter writes, and remove them.

        May be killed and called again at any time. Raises Damaged for a part that is not what it was: it is removed.
        """
        whole = self.folder / "whole"
        try:
            whole.mkdir(exist_ok=True)
            sweep(whole)
            dim = int(self._manifest(0)["dim"])
            with _opened(whole / "vectors.npy") as vectors, _opened(whole / "norms.npy") as norms:
                starts = [
                    _header(file, shape) for file, shape in ((vectors, (len(self.ids), dim)), (norms, (len(self.ids),)))
                ]
                for number in range(self.count):
                    self._append(number, (vectors, norms), starts)
            np.save(whole / "ids.npy", self.ids)
            write_manifest(whole, FILES, **facts, rows=len(self.ids), dim=dim)
            place_folder(whole, self.target)
        except OSError as error:
            raise FairLabError(explain(error, self.target)) from error
        self.discard()

    def discard(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:05d}"

    def _manifest(self, number: int) -> dict[str, Any]:
        """A part's manifest, waiting a little for one of another machine. Raises FairLabError."""
        folder, until = self._part(number), time.monotonic() + SEEN_WITHIN_S
        while not (folder / MANIFEST).exists() and time.monotonic() < until:
            os.listdir(self.folder)  # asks the server anew
            time.sleep(0.2)
        return read_manifest(folder)

    def _append(self, number: int, files: tuple[IO[bytes], IO[bytes]], starts: list[int]) -> None:
        """Copy a part to its place, unless it is there already, and leave its manifest alone behind."""
        folder, facts = self._part(number), self._manifest(number)
        if not (folder / NAMES[0]).exists():
            if not self._merged(number, facts, files, starts):
                raise self._damaged(number)
            return
        for name, file, start in zip(NAMES, files, starts, strict=True):
            file.seek(start + self._offset(number, facts["files"][name]["bytes"]))
            seen = hashlib.sha256()
            with open(folder / name, "rb") as part:
                for piece in _pieces(part, None):
                    seen.update(piece)
                    file.write(piece)
            if seen.hexdigest() != facts["files"][name]["sha256"]:
                raise self._damaged(number)
        for file in files:
            file.flush()
            os.fsync(file.fileno())  # before the only other copy goes
        for name in NAMES:
            (folder / name).unlink()

    def _damaged(self, number: int) -> Damaged:
        """Remove a part that is not what it was; the error to raise."""
        shutil.rmtree(self._part(number), ignore_errors=True)
        return Damaged(
            f"{self._part(number)} was damaged after it was written and is removed; resume to create it again"
        )

    def _offset(self, number: int, part_bytes: int) -> int:
        """Where the rows of a part begin behind the header; all parts but the last have equally many rows."""
        rows = self.rows(number)
        return rows.start * (part_bytes // (rows.stop - rows.start))

    def _sound(self, number: int) -> bool:
        """Is the part whole: in its folder, or where it was appended?"""
        folder, whole = self._part(number), self.folder / "whole"
        try:
            facts = read_manifest(folder)
            if facts.get("key") != self.key or facts.get("number") != number:
                return False
            if all((folder / name).exists() for name in NAMES):
                return all(_hash_of(folder / name, 0, None) == facts["files"][name]["sha256"] for name in NAMES)
            shapes = ((len(self.ids), int(facts["dim"])), (len(self.ids),))
            with open(whole / "vectors.npy", "rb") as vectors, open(whole / "norms.npy", "rb") as norms:
                starts = [len(array_header(shape)) for shape in shapes]
                return self._merged(number, facts, (vectors, norms), starts)
        except (FairLabError, OSError, KeyError, TypeError, ValueError):
            return False

    def _merged(
        self, number: int, facts: dict[str, Any], files: tuple[IO[bytes], IO[bytes]], starts: list[int]
    ) -> bool:
        """Do the places of this part in the files hold its bytes?"""
        for name, file, start in zip(NAMES, files, starts, strict=True):
            expected = facts["files"][name]
            place = start + self._offset(number, expected["bytes"])
            if _hash_of(Path(file.name), place, expected["bytes"]) != expected["sha256"]:
                return False
        return True


def _opened(path: Path) -> IO[bytes]:
    return open(path, "r+b" if path.exists() else "w+b")


def _header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Write the header of an array of this shape; returns its length."""
    header = array_header(shape)
    file.seek(0)
    file.write(header)
    file.flush()
    return len(header)


def _hash_of(path: Path, start: int, length: int | None) -> str:
    """SHA-256 of `length` bytes of a file from `start` on, or of all."""
    seen = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(start)
        for piece in _pieces(file, length):
            seen.update(piece)
    return seen.hexdigest()


def _pieces(file: IO[bytes], length: int | None) -> Iterator[bytes]:
    while length is None or length > 0:
        piece = file.read(COPIED if length is None else min(COPIED, length))
        if not piece:
            return
        length = None if length is None else length - len(piece)
        yield piece
