"""A training set in MXNet's RecordIO, e.g. CASIA-WebFace, MS1MV2, MS1MV3 or Glint360K as insightface packs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fairlab.data.attributes import with_groups
from fairlab.data.formats.recordio import HEADER_BYTES, RecordFile
from fairlab.data.listing import READERS, Listing, Progress, Stop, problem
from fairlab.data.readers.record_landmarks import landmarks_of
from fairlab.data.readers.record_sets import open_records
from fairlab.errors import Damaged
from fairlab.settings.study import Source


def rec_file(path: Path) -> Path | None:
    """`path` itself, or the one .rec file in it."""
    if path.is_file():
        return path if path.suffix == ".rec" else None
    found = sorted(path.glob("*.rec"))
    return found[0] if len(found) == 1 else None


@READERS.register("recordio", title="MXNet RecordIO (.rec)", order=20)
class Records:
    """Identities by label; groups from a table, as the format has none."""

    def detect(self, path: Path) -> str:
        """A .rec file, or a folder with exactly one."""
        found = rec_file(path)
        return f"{found.name}" if found else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images by rising key; where each lies in the file is its location, so that nothing is scanned again."""
        records = open_records(path, progress, stop)
        names = records.identity_names
        identities = pd.Series(records.identities).astype("category")
        shown = [names.get(int(number), str(number)) for number in identities.cat.categories]
        identity = identities.cat.rename_categories(shown).astype(object)
        offsets, sizes = pd.Series(records.offsets).astype(str), pd.Series(records.sizes).astype(str)
        images = pd.DataFrame({"location": offsets + "+" + sizes, "identity": identity})
        images, attribute, problems = with_groups(images, source, "")
        notes = list(records.notes)
        landmarks = landmarks_of(records.file.path, records.keys, records.read, notes)
        problems += problem("records without an image, left out", [f"record {key}" for key in records.empty])
        said = f"{records.layout} layout, {records.identity_count:,} identities"
        return Listing(images, attribute, None, landmarks, problems, [said, *notes], doubtful=records.doubtful)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are offset+size of the record; a read is one pread."""
        found = rec_file(path)
        if found is None:
            raise Damaged(f"{path} is neither a .rec file nor a folder with exactly one")
        file = RecordFile(found)

        def read(row: int) -> bytes:
            offset, _, size = locations[row].partition("+")
            data = file.data(int(offset), int(size))
            return data[HEADER_BYTES + 4 * int.from_bytes(data[:4], "little") :]

        return read
