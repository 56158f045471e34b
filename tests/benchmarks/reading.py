"""`python -m tests.benchmarks.reading [IMAGES] [ROUNDS] [THREADS]`: training batches from .rec and folder against decoding.

Both sides in one run, one after the other in every round, with the same number of decoding threads: JPEGs in memory
through every decoder that is installed, and files on disk through the loader's own path to batches of 128, half of them
mirrored ("batches": the bytes that go to a GPU, which makes the floats; "floats": made here). Wall seconds depend on
what else the machine does, processor seconds hardly: both are printed. Then the resident memory of a pass over all and
over ten times as many records (the same ones again and again).
"""

from __future__ import annotations

import io
import os
import resource
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fairlab.data import pixels
from fairlab.data.decode import decode
from fairlab.data.listing import detect_kind, reader
from fairlab.data.pixels import EncodedPixels
from fairlab.settings.study import Source
from fairlab.training.loader import ImageInputs, ahead, flips, order

PX, BATCH, QUALITY = 112, 128, 95
Decoder = Callable[[bytes], np.ndarray]


def jpegs(count: int) -> list[bytes]:
    """Pictures with the spectrum of photographs (amplitude falls with the frequency), some 7 kB each."""
    random = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(PX), np.fft.fftfreq(PX)))
    frequency[0, 0] = 1 / PX
    made = []
    for _ in range(count):
        fields = np.fft.ifft2(np.fft.fft2(random.normal(size=(4, PX, PX))) / frequency**1.5).real
        picture = np.moveaxis(fields[:1] + 0.15 * fields[1:], 0, 2)
        picture = (128 + 45 * (picture - picture.mean()) / picture.std()).clip(0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY)
        made.append(stream.getvalue())
    return made


def write_folder(root: Path, images: list[bytes]) -> Path:
    """identity/image, ten images each."""
    for number, content in enumerate(images):
        path = root / f"m.{number // 10:05d}" / f"{number % 10}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_records(path: Path, images: list[bytes]) -> Path:
    """The flat layout: every record an image."""
    with open(path, "wb") as handle:
        for number, content in enumerate(images):
            data = struct.pack("<IfQQ", 0, number // 10, number, 0) + content
            handle.write(struct.pack("<II", 0xCED7230A, len(data)) + data + bytes(-len(data) % 4))
    return path


def opened(path: Path) -> EncodedPixels:
    """The images of `path` as an added data set hands them out."""
    kind, _ = detect_kind(path)
    listing = reader(kind).listing(path, Source(path=str(path)), lambda _done, _total: None, lambda: False)
    locations = listing.images["location"].to_numpy(dtype=object)
    return EncodedPixels(reader(kind).opener(path, locations), lambda row: str(locations[row]), len(locations), PX)


def decoders() -> Iterator[tuple[str, Decoder]]:
    """Those that are installed."""
    yield "Pillow", lambda data: np.asarray(Image.open(io.BytesIO(data)))
    try:
        import simplejpeg

        yield "simplejpeg", simplejpeg.decode_jpeg
    except ImportError:
        pass
    try:
        import cv2

        cv2.setNumThreads(1)
        yield "OpenCV", lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except ImportError:
        pass


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """(wall, processor) seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def decode_all(images: list[bytes], decoder: Decoder, pool: ThreadPoolExecutor) -> None:
    """Nothing but decoding, in pieces so that handing over costs nothing."""

    def some(start: int) -> None:
        for data in images[start : start + BATCH]:
            decoder(data)

    list(pool.map(some, range(0, len(images), BATCH)))


def one_pass(view: EncodedPixels, count: int, epoch: int, floats: bool) -> None:
    """Batches as a training loop gets them, over rows in random order; `count` may be a multiple of the images.

    Without `floats` as they go to the device, which makes the floats.
    """
    inputs = ImageInputs(view, np.arange(count) % len(view))
    sequence, mirrored = order(0, epoch, count), flips(0, epoch, count)

    def make(number: int) -> torch.Tensor:
        chosen = sequence[number * BATCH : (number + 1) * BATCH]
        return (inputs.batch if floats else inputs.stored)(chosen, mirrored[chosen])

    for batch in ahead(make, range(count // BATCH), inputs.depth):
        assert batch.numel() == BATCH * 3 * PX * PX


def resident_mb() -> float:
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    threads = pixels.THREADS = int(sys.argv[3]) if len(sys.argv) > 3 else pixels.THREADS
    torch.set_num_threads(1)
    images = jpegs(count)
    size = sum(map(len, images)) / count
    print(f"{count:,} JPEGs {PX}x{PX}, {size:,.0f} bytes each, {threads} threads, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        places = {
            ".rec": opened(write_records(Path(folder) / "train.rec", images)),
            "folder": opened(write_folder(Path(folder) / "set", images)),
        }
        sides: dict[str, Callable[[], None]] = {
            f"decoding, {name}": lambda decoder=decoder: decode_all(images, decoder, pool)
            for name, decoder in decoders()
        }
        sides["decoding, ours"] = lambda: decode_all(images, lambda data: decode(data, ""), pool)
        for floats in (False, True):
            sides |= {
                f"{'floats' if floats else 'batches'}, {name}": lambda view=view, floats=floats: one_pass(
                    view, count, 0, floats
                )
                for name, view in places.items()
            }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for turn in range(rounds + 1):
            for name, work in sides.items():
                taken = timed(work)
                if turn:  # the first round loads code and fills the page cache
                    times[name].append(taken)
        report(times, count)
        if sys.platform == "linux":
            for many in (count, 10 * count):
                one_pass(places[".rec"], many, 1, True)
                print(f"resident after a pass over {many:,} records: {resident_mb():.0f} MB")
    return 0


def report(times: dict[str, list[tuple[float, float]]], count: int) -> None:
    """Rates, and every side against the decoder with the least processor time, round by round."""
    pure = [name for name in times if name.startswith("decoding") and not name.endswith("ours")]
    fastest = min(pure, key=lambda name: statistics.median(cpu for _, cpu in times[name]))
    for name, taken in times.items():
        wall = statistics.median(own for own, _ in taken) / count
        cpu = statistics.median(own for _, own in taken) / count
        ratios = [
            statistics.median(best[which] / own[which] for best, own in zip(times[fastest], taken, strict=True))
            for which in (0, 1)
        ]
        print(
            f"{name:22} {1 / wall:7,.0f} images/s, {1e6 * cpu:4.0f} us of processor an image; "
            f"against {fastest.removeprefix('decoding, ')}: {ratios[0]:.2f} wall, {ratios[1]:.2f} processor "
            f"(medians of {len(taken)})"
        )


if __name__ == "__main__":
    raise SystemExit(main())
