"""`python -m tests.benchmarks.listing`: large lists of images: time and memory, every part in a process of its own.

records: the heads of a .rec file of a million records, in one pass, with its .idx. images: the table of a data set of
five million images, written as adding writes it, opened as every page and run opens it. pack: embeddings of both views
of a verification pack of 12,000 images of 112 px with the backbone `tiny`. Memory is what is resident beyond the
imports, and its peak.
"""

from __future__ import annotations

import io
import pickle
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

RECORDS, IMAGES, PACKED = 1_000_000, 5_000_000, 12_000


def resident_mb() -> float:
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def said(what: str, work: Callable[[], object]) -> None:
    """Do it and print its cost; what it returns is held until it has been weighed."""
    before, wall, cpu = resident_mb(), time.perf_counter(), time.process_time()
    held = work()
    print(
        f"{what:44} {time.perf_counter() - wall:6.2f} s ({time.process_time() - cpu:.2f} of processor), "
        f"{resident_mb() - before:5.0f} MB more, peak {peak_mb() - before:5.0f} MB over {before:.0f} MB",
        flush=True,
    )
    del held


def write_records(folder: Path) -> None:
    """Records as short as they can be: the cost is that of heads, not of reading images."""
    data = b"".join(
        struct.pack("<IIIfQQ", 0xCED7230A, 28, 0, number // 50, number, 0) + b"\xff\xd8\xff\xd9"
        for number in range(RECORDS)
    )
    (folder / "train.rec").write_bytes(data)
    (folder / "train.idx").write_text("".join(f"{number}\t{36 * number}\n" for number in range(RECORDS)))


def records(folder: Path) -> None:
    from fairlab.data.readers.record_sets import open_records

    said(f"scanning {RECORDS:,} records", lambda: open_records(folder / "train.rec"))


def write_images(folder: Path) -> None:
    from fairlab.data.kept_pixels import Elsewhere
    from fairlab.data.writing import NewDataset, write_dataset
    from fairlab.tables import PAIRS

    person = np.arange(IMAGES) // 50
    groups = np.array(["African", "Asian", "Caucasian", "Indian"])
    table = pd.DataFrame({"image_id": np.arange(IMAGES), "dataset": "big", "split": "train", "source": "real"})
    table["group"] = groups[person % 4]
    table["identity"] = [f"{groups[number % 4]}/m.{number:06d}" for number in person]
    table["location"] = [f"{name}/{number % 50:03d}_face.jpg" for number, name in enumerate(table["identity"])]
    for column in ("dataset", "split", "source", "identity", "group"):
        table[column] = table[column].astype("category")
    write_dataset(
        folder / "big",
        NewDataset(
            dataset_id="big",
            kind="folders",
            attribute="Ethnicity",
            groups=tuple(groups),
            images=table,
            pairs=pd.DataFrame({name: [] for name in PAIRS}),
            pixels=Elsewhere(
                {"kind": "folders", "path": str(folder), "swap_channels": False}, 112, np.zeros(IMAGES, np.int64)
            ),
            recipe={},
        ),
    )


def images(folder: Path) -> None:
    import pyarrow.parquet  # noqa: F401  # an import, not the table's cost

    from fairlab.data.dataset import open_dataset

    data = open_dataset(folder / "big")
    said(f"opening the table of {IMAGES:,} images", lambda: data.images)
    said("... and their pixels", lambda: data.pixels)


def write_pack(folder: Path) -> None:
    from PIL import Image

    random, encoded = np.random.default_rng(0), []
    for _ in range(PACKED):
        coarse = Image.fromarray(random.integers(0, 256, (14, 14, 3)).astype(np.uint8))
        stream = io.BytesIO()
        coarse.resize((112, 112), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
        encoded.append(stream.getvalue())
    (folder / "made.bin").write_bytes(pickle.dumps((encoded, [bool(n % 2) for n in range(PACKED // 2)])))


class Halves:
    """A sink: the vectors as the store keeps them."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def add(self, vectors: np.ndarray, norms: np.ndarray) -> None:
        self.kept.append(vectors.astype(np.float16))


def pack(folder: Path) -> None:
    import torch

    from fairlab.data.listing import reader
    from fairlab.data.pixels import EncodedPixels
    from fairlab.models.base import BACKBONES
    from fairlab.settings.study import Backbone, Source
    from fairlab.training.extract import View, extract
    from fairlab.training.loader import ImageInputs

    torch.set_num_threads(1)
    learner = BACKBONES["tiny"](Backbone(name="tiny", embedding_dim=128), 112).to(memory_format=torch.channels_last)
    file = folder / "made.bin"

    def both() -> Halves:
        listing = reader("packs").listing(file, Source(path=str(file)), lambda _done, _total: None, lambda: False)
        locations = listing.images["location"].to_numpy(dtype=object)
        view = EncodedPixels(reader("packs").opener(file, locations), str, len(locations), 112)
        sink = Halves()
        for mirrored in (False, True):
            inputs = ImageInputs(view, np.arange(len(view)))
            extract(View(learner, inputs, mirrored, torch.device("cpu")), sink, lambda *_: None, lambda: False)
        return sink

    said(f"embedding both views of {PACKED:,} images", both)
    print(f"both views as floats would be {2 * PACKED * 112 * 112 * 3 * 4 / 1e6:,.0f} MB")


PARTS = {"records": (write_records, records), "images": (write_images, images), "pack": (write_pack, pack)}


def main() -> int:
    if len(sys.argv) == 3:
        name, folder = sys.argv[1:]
        PARTS[name.removeprefix("write-")][0 if name.startswith("write-") else 1](Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name in PARTS:
            for step in (f"write-{name}", name):
                subprocess.run([sys.executable, "-m", "tests.benchmarks.listing", step, folder], check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
