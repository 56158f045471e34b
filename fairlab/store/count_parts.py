"""What a long count has counted so far, kept so that a killed run need not begin anew and processes can add up.

results/<data set>/protocols/<protocol>.parts/ {about.json, <pass>-<first unit>.counts}. A .counts file is one process's
sums over the units of work that its first line lists; the rest is an .npz, whose SHA-256 stands in that line too.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fairlab.errors import Damaged, FairLabError
from fairlab.files import read_json, write_bytes, write_json
from fairlab.machine.temporaries import sweep
from fairlab.reading.structured import parse_json
from fairlab.store.results import protocol_folder

ABOUT = "about.json"


def counts_folder(run_folder: Path, dataset_id: str, protocol: str) -> Path:
    """Where the counts of a protocol lie while they are made."""
    folder = protocol_folder(run_folder, dataset_id, protocol)
    return folder.with_name(f"{folder.name}.parts")


def discard_counts(run_folder: Path, dataset_id: str, protocol: str, really: bool = True) -> None:
    """Remove what was kept, once the numbers themselves are."""
    if really:
        shutil.rmtree(counts_folder(run_folder, dataset_id, protocol), ignore_errors=True)


class CountParts:
    """The kept counts of one folder, of one `key`: all that decides them. Others' and damaged files are never taken."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def prepare(self) -> None:
        """Throw away what is of another key. For one process, before any other writes."""
        about = self.folder / ABOUT
        try:
            known = not self.folder.exists() or read_json(about) == {"key": self.key}
        except FairLabError:
            known = False
        if not known:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif self.folder.exists():
            sweep(self.folder)

    def save(self, name: str, about: str, units: Sequence[int], counts: Mapping[str, np.ndarray]) -> None:
        """Keep the counts of these units (rising) of the pass `name`, in place of what began with the same unit."""
        if not (self.folder / ABOUT).exists():
            write_json(self.folder / ABOUT, {"key": self.key})
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **counts)
        payload = content.getvalue()
        said = {"key": self.key, "about": about, "units": list(units), "sha256": hashlib.sha256(payload).hexdigest()}
        write_bytes(self.folder / f"{name}-{units[0]:06d}.counts", json.dumps(said).encode() + b"\n" + payload)

    def units(self, name: str, about: str) -> set[int]:
        """Units that somebody has counted, by the first lines alone."""
        found: set[int] = set()
        for path in self._paths(name):
            try:
                with open(path, "rb") as file:
                    found |= set(self._said(file.readline(), about)["units"])
            except (OSError, Damaged):
                continue
        return found

    def read(self, name: str, about: str) -> list[tuple[tuple[int, ...], dict[str, np.ndarray]]]:
        """(units, counts) of all whole files of the pass, no unit twice."""
        found: list[tuple[tuple[int, ...], dict[str, np.ndarray]]] = []
        seen: set[int] = set()
        for path in self._paths(name):
            try:
                line, _, payload = path.read_bytes().partition(b"\n")
                said = self._said(line, about)
                if hashlib.sha256(payload).hexdigest() != said["sha256"] or seen & set(said["units"]):
                    continue
                with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
                    found.append((tuple(said["units"]), {each: arrays[each] for each in arrays.files}))
                seen |= set(said["units"])
            except (OSError, ValueError, Damaged):
                continue
        return found

    def _paths(self, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{name}-*.counts"))

    def _said(self, line: bytes, about: str) -> dict[str, list[int]]:
        """A file's first line. Raises Damaged unless it is of this key and pass."""
        said = parse_json(line, "the first line of a file of counts")
        units = said.get("units")
        ours = said.get("key") == self.key and said.get("about") == about and isinstance(said.get("sha256"), str)
        if not ours or not units or not isinstance(units, list) or not all(type(unit) is int for unit in units):
            raise Damaged("these are other counts")
        return dict(said)
