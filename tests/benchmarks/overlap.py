"""How many re-encoded photographs the overlap check finds among generated faces, and how many it takes for others'.

python -m tests.benchmarks.overlap [IMAGE_PX] [PEOPLE]: renders PEOPLE (default 240) with 10 photographs each. Half of a person's
photographs are the training set; the other half, and re-encoded copies of 400 training photographs, are the test set.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fairlab.data.demo.build import build_demo
from fairlab.data.inspect import duplicates
from fairlab.settings.study import DemoData

COPIES = 400


def encoded_anew(image: np.ndarray, kind: str, **options: int) -> np.ndarray:
    """An image after a way through a file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return np.array(Image.open(stream).convert("RGB"))


def resized(image: np.ndarray) -> np.ndarray:
    """112 to 100 and back, or in the same proportion."""
    px = len(image)
    small = Image.fromarray(image).resize((round(px * 100 / 112),) * 2, Image.Resampling.BILINEAR)
    return np.array(small.resize((px, px), Image.Resampling.BILINEAR))


def cropped(image: np.ndarray) -> np.ndarray:
    """One pixel of every side is lost."""
    px = len(image)
    return np.array(Image.fromarray(image[1:-1, 1:-1]).resize((px, px), Image.Resampling.BILINEAR))


def copies(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, copies) of every kind."""
    yield "PNG", np.stack([encoded_anew(image, "PNG") for image in images])
    for quality in (95, 75, 50, 30):
        yield f"JPEG {quality}", np.stack([encoded_anew(image, "JPEG", quality=quality) for image in images])
    for quality in (80, 30):
        yield f"WebP {quality}", np.stack([encoded_anew(image, "WEBP", quality=quality) for image in images])
    yield "112 -> 100 -> 112", np.stack([resized(image) for image in images])
    yield "that, then JPEG 30", np.stack([encoded_anew(resized(image), "JPEG", quality=30) for image in images])
    yield "1 px cropped all round", np.stack([cropped(image) for image in images])


def found(train: np.ndarray, test: np.ndarray, common: duplicates.Reference) -> tuple[np.ndarray, np.ndarray]:
    """(test rows, train rows) taken for one photograph, from thumbnails."""
    at_test, at_train = duplicates.candidates(duplicates.hashes(train, common), duplicates.hashes(test, common))
    same = duplicates.likeness(train[at_train], test[at_test], common) >= duplicates.LIKE
    return at_test[same], at_train[same]


def main() -> None:
    px, people = (int(text) for text in (*sys.argv[1:], *("112", "240")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        demo = DemoData(image_px=px, train_identities=people // 4, validation_identities=2, test_identities=4,
                        synthetic_identities=0, validation_pairs=10, test_pairs=20, hard_impostors=2)  # fmt: skip
        data = build_demo(demo, Path(folder) / "demo", "demo")
        images = data.images[data.images["split"] == "train"]
        pixels = np.asarray(data.pixels[images["image_id"].to_numpy()])
    who = images["identity"].to_numpy(dtype=object)
    half = np.arange(len(images)) % 2 == 0
    train, other = pixels[half], pixels[~half]
    thumbs = duplicates.thumbnails(train)
    common = duplicates.reference(np.concatenate([thumbs[:2000], duplicates.thumbnails(other)[:2000]]))
    print(f"{px} px, {people} people, {len(train)} training and {len(other)} other photographs of them")
    at_test, at_train = found(thumbs, duplicates.thumbnails(other), common)
    one_person = int((who[~half][at_test] == who[half][at_train]).sum())
    pairs = int(sum(np.sum(who[half] == name) * np.sum(who[~half] == name) for name in set(who)))
    print(
        f"taken for one photograph: {one_person} of {pairs} different pairs of one person "
        f"({100 * one_person / pairs:.3f} %), {len(at_test) - one_person} of {len(train) * len(other) - pairs} of two; "
        f"{len(set(at_test))} of {len(other)} images ({100 * len(set(at_test)) / len(other):.2f} %)"
    )
    chosen = np.random.default_rng(0).choice(len(train), min(COPIES, len(train)), replace=False)
    for name, made in copies(train[chosen]):
        at_test, at_train = found(thumbs, duplicates.thumbnails(made), common)
        hits = len(set(at_test[chosen[at_test] == at_train]))
        print(f"{name:24} {hits} of {len(chosen)} found ({100 * hits / len(chosen):.2f} %)")
    random = np.random.default_rng(1)
    many, few = (random.integers(0, 2**64, count, dtype=np.uint64) for count in (5_000_000, 40_000))
    began = time.perf_counter()
    duplicates.candidates(many, few)
    print(f"40,000 random hashes among 5,000,000: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
