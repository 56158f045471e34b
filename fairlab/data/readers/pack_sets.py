"""Verification packs (.bin) as a data set: one pack, or a folder of them, each a group, e.g. RFW's four or LFW beside
CFP-FP and AgeDB-30.

A pack names nobody. Who is whom is worked out as far as it tells: the two images of a genuine pair show one person, and
so do equal files; intervals over redrawn people then redraw what hangs together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairlab.data.formats.packs import Pack, open_pack
from fairlab.data.listing import READERS, Listing, Progress, Stop
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.settings.study import Source

PICKLES = (b"\x80", b"(")
"""First byte of a pickle of protocol 2 or later, and of the older ones."""


def pack_files(path: Path) -> list[Path]:
    """The packs at `path`: the file itself, or a folder's .bin files that begin as a pickle begins, sorted."""
    candidates = [path] if path.is_file() else sorted(path.glob("*.bin"))
    return [file for file in candidates if file.suffix == ".bin" and _first_byte(file) in PICKLES]


def _first_byte(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe would never answer
            return b""
        with open(path, "rb") as handle:
            return handle.read(1)
    except OSError:
        return b""


@READERS.register("packs", title="verification packs (.bin)", order=30)
class Packs:
    """Pairs with their images; every pack is a group named after its file, without a trailing _test."""

    def detect(self, path: Path) -> str:
        """One .bin file or a folder of them."""
        files = pack_files(path)
        return ", ".join(file.name for file in files[:4]) + (" ..." if len(files) > 4 else "") if files else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of the packs: pair i is rows 2i and 2i + 1 of its pack."""
        files = pack_files(path)
        if not files:
            raise FairLabError(f"{path} is not a verification pack and contains none (.bin files)")
        tables, pairs, problems, doubtful, rows = [], [], [], [], 0
        for number, file in enumerate(files):
            if stop():
                raise Stopped
            pack = open_pack(file)
            group = file.stem.removesuffix("_test")
            people = _people(pack)
            names = [f"{group} {person}" for person in people]
            places = [f"{file.name}#{row}" for row in range(len(people))]
            tables.append(pd.DataFrame({"location": places, "identity": names, "group": group}))
            first = rows + 2 * np.arange(len(pack))
            folds = pack.folds if pack.folds is not None else np.zeros(len(pack), np.int64)
            table = pd.DataFrame({"image_a": first, "image_b": first + 1, "genuine": pack.genuine})
            pairs.append(table.assign(group=group, fold=folds))
            contradicted = np.flatnonzero((people[::2] == people[1::2]) & ~pack.genuine)
            problems += [f"{file.name}: {text}" for text in pack.problems]
            doubtful += [rows + row for row in pack.faults]
            if len(contradicted):
                problems.append(
                    f"{file.name}: {len(contradicted)} impostor pairs show people that other pairs call the same "
                    f"person, e.g. pair {contradicted[0]}"
                )
            rows += len(people)
            progress(number + 1, len(files))
        said = "packs name no people: people are inferred from genuine pairs and equal files"
        return Listing(
            pd.concat(tables, ignore_index=True),
            source.attribute or "group",
            pd.concat(pairs, ignore_index=True),
            None,
            problems,
            [said],
            doubtful=doubtful,
        )

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are file#row; a pack is opened when one of its images is first asked for."""
        files = {file.name: file for file in pack_files(path)}
        opened: dict[str, Pack] = {}

        def read(row: int) -> bytes:
            name, _, number = locations[row].rpartition("#")
            if name not in opened:
                if name not in files:
                    raise Damaged(f"{path} no longer holds {name}")
                opened[name] = open_pack(files[name])
            return opened[name].read(int(number))

        return read


def _people(pack: Pack) -> np.ndarray:
    """A number (2N,) for every image: the same for all that genuine pairs and equal bytes hold together."""
    count = 2 * len(pack)
    hashes = [
        b"%016d" % row if row in pack.faults else hashlib.blake2b(pack.read(row), digest_size=16).digest()
        for row in range(count)
    ]
    _, node = np.unique(np.array(hashes), return_inverse=True)
    a, b = node[::2][pack.genuine], node[1::2][pack.genuine]
    size = int(node.max()) + 1 if count else 0
    _, component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(size, size)), directed=False)
    people: np.ndarray = component[node]
    return people
