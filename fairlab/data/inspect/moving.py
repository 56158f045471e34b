"""Data whose files lie elsewhere now: another disk, another mount point, another machine. Same bytes, same data set."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairlab.data.amending import amend
from fairlab.data.dataset import HASHES_FILE, INFO, SIZES_FILE, Dataset
from fairlab.data.decode import decode
from fairlab.data.inspect.checking import fingerprint_of
from fairlab.data.kept_beside import TRAITS_FILE, signed
from fairlab.data.listing import Texts, reader
from fairlab.data.pixels import THREADS
from fairlab.data.traits import without_measured
from fairlab.errors import FairLabError, Refused, Stopped
from fairlab.files import digest, write_json
from fairlab.workspace import now

CHUNK = 2000


@dataclass(frozen=True)
class Seen:
    """The images of a data set as they lie below `to`: hashes (N,) int64 as checking.look has them, bytes (N,)."""

    to: Path
    hashes: np.ndarray
    sizes: np.ndarray


def look_there(
    data: Dataset,
    to: Path,
    changed: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Seen:
    """Read every image of `data` once below `to`. changed: they may be others than those that were added.

    Raises FairLabError when one is missing or is not the one that was added, Refused for a data set that reads no files of
    its own, Stopped.
    """
    origin = data.info.get("images_from", {})
    if "path" not in origin:
        raise Refused(
            f"data set {data.dataset_id} does not read external files: its images are in the workspace or borrowed "
            f"from another data set"
        )
    to = to.expanduser().absolute()
    if not to.exists():
        raise FairLabError(
            f"{to} does not exist; give the current location of the images of data set {data.dataset_id}"
        )
    if not (data.folder / HASHES_FILE).exists():
        raise Refused(f"data set {data.dataset_id} was added by a FairLab that kept no hashes of images: add it again")
    return Seen(to, *_read_all(data, origin["kind"], to, changed, progress, stop))


def put(data: Dataset, seen: Seen) -> None:
    """From now on read the images of `data` where they were seen; whole or, after a kill, as before.

    The fingerprint stays: runs go on. Images that are others make it other data: the fingerprint changes, and numbers and
    embeddings from before are of the old ones. Names, groups, landmarks and pairs stay; what was measured of those images is unknown.
    """
    origin, to, hashes = data.info["images_from"], seen.to, seen.hashes
    moved = [*data.info.get("moved", []), {"from": origin["path"], "to": str(to), "at": now()}]
    info = {**data.info, "images_from": {**origin, "path": str(to)}, "moved": moved}
    others = np.flatnonzero(hashes != np.load(data.folder / HASHES_FILE, allow_pickle=False))
    if len(others):
        moved[-1]["changed"] = len(others)
        change = ["changed", others.tolist(), hashes[others].tolist()]
        info["seen"], info["fingerprint"] = digest([data.info["seen"], *change]), digest([data.fingerprint, *change])

    traits = without_measured(data, others) if len(others) else None

    def write(folder: Path) -> None:
        if traits is not None:
            traits.to_parquet(folder / TRAITS_FILE, index=False)
        write_json(folder / INFO, signed(info, folder))
        np.save(folder / SIZES_FILE, seen.sizes.astype(np.uint32))
        np.save(folder / HASHES_FILE, hashes)

    amend(data, write, [INFO, SIZES_FILE, HASHES_FILE, *([] if traits is None else [TRAITS_FILE])])


def _read_all(
    data: Dataset,
    kind: str,
    path: Path,
    changed: bool,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> tuple[np.ndarray, np.ndarray]:
    """(hash (N,) int64 as checking.look has it, bytes (N,)) of every image. Raises FairLabError for one that is missing,
    for one that is another unless they may have changed, and Damaged for a changed one that is no image.
    """
    locations = Texts(data.images["location"])
    read, count = reader(kind).opener(path, locations), len(data.images)
    before = np.load(data.folder / HASHES_FILE, allow_pickle=False)

    def one(row: int) -> tuple[int, int]:
        try:
            content = read(row)
        except OSError as error:
            raise FairLabError(f"{path}, {locations[row]} cannot be read: {error.strerror or error}") from error
        found = fingerprint_of(content)
        if found != before[row]:
            if changed:
                decode(content, f"{path}, {locations[row]}")
                return found, len(content)
            raise FairLabError(
                f"{path}, {locations[row]} is not the image that was added; restore it, or accept the changed images "
                f"as different data"
            )
        return found, len(content)

    found = np.empty((count, 2), np.int64)
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, count, CHUNK):
            if stop():
                raise Stopped
            rows = range(start, min(start + CHUNK, count))
            found[start : start + CHUNK] = list(pool.map(one, rows))
            progress(rows.stop, count)
    return found[:, 0], found[:, 1]
