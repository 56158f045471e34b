"""One image that is none among good ones is left out, counted and named, whatever holds it: folder, .rec or pack."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairlab.data.decode import decode
from fairlab.errors import FairLabError
from fairlab.jobs.data.adding import dry_run
from fairlab.settings.study import Source

BAD = {
    "garbage": b"\x00garbage" * 30,
    "empty": b"",
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "cut": b"",  # made of the image itself
}
KINDS = ("folder", "flat rec", "classic rec", "two labels", "pack", "pack of arrays")


def jpegs(count: int = 12) -> list[bytes]:
    rng, made = np.random.default_rng(5), []
    for _ in range(count):
        stream = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8))
        coarse.resize((48, 48)).save(stream, "JPEG")
        made.append(stream.getvalue())
    return made


def record(key: int, labels: tuple[float, ...], image: bytes) -> bytes:
    flag = 0 if len(labels) == 1 else len(labels)
    data = struct.pack("<IfQQ", flag, labels[0] if not flag else 0.0, key, 0)
    data += struct.pack(f"<{flag}f", *labels[:flag]) + image
    return struct.pack("<II", 0xCED7230A, len(data)) + data + bytes(-len(data) % 4)


def stored(root: Path, kind: str, images: list[bytes | None]) -> Path:
    """`images`, two of a person, as a set of a kind."""
    root.mkdir()
    if kind == "folder":
        for number, image in enumerate(images):
            (root / f"p{number // 2:02d}").mkdir(exist_ok=True)
            (root / f"p{number // 2:02d}" / f"{number}.jpg").write_bytes(image or b"")
    elif kind.startswith("pack"):
        shaped = [None if image is None else np.frombuffer(image, np.uint8) for image in images]
        bins = shaped if kind == "pack of arrays" else images
        (root / "lfw.bin").write_bytes(pickle.dumps((bins, [True] * (len(images) // 2)), protocol=2))
    else:
        first = 1 if kind == "classic rec" else 0
        labels = [(float(n // 2),) if kind != "two labels" else (float(n // 2), 7.0) for n in range(len(images))]
        rows = [record(first + n, labels[n], image or b"") for n, image in enumerate(images)]
        if kind == "classic rec":
            end, people = len(images) + 1, len(images) // 2
            rows = [record(0, (end, end + people), b""), *rows]
            rows += [record(end + n, (1 + 2 * n, 3 + 2 * n), b"") for n in range(people)]
        (root / "train.rec").write_bytes(b"".join(rows))
    return root


@pytest.mark.parametrize("bad", [*BAD, "None"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_image_is_left_out_counted_and_named(tmp_path: Path, kind: str, bad: str) -> None:
    images: list[bytes | None] = [*jpegs()]
    images[5] = None if bad == "None" else images[5][: len(images[5]) // 2] if bad == "cut" else BAD[bad]
    found, listing = dry_run(Source(path=str(stored(tmp_path / "set", kind, images))))
    said = "\n".join(found["problems"])
    left = len(listing.images) - found["unreadable"]
    assert left == sum(found["parts"].values()) == 11, said
    assert found["will_do"][0].startswith("register 11 images")
    named = "6" if kind == "classic rec" and "record " in said else "5"  # keys count from 1 there
    assert "left out: 1 (" in said, said
    assert named in said.split("left out: 1 (")[1], said
    if kind.startswith("pack"):
        assert found["pairs"]["lfw"] == {"genuine": 5, "impostor": 0, "folds": 1}
        assert "Failures to enrol: 1 of 12 images of pairs (8.33%); " in said
        assert len([text for text in found["problems"] if "left out" in text or "enrol" in text]) == 1, "told once"


@pytest.mark.parametrize("kind", KINDS)
def test_where_nearly_all_are_bad_it_is_no_such_set(tmp_path: Path, kind: str) -> None:
    images: list[bytes | None] = [b"" for _ in range(12)]
    images[0] = jpegs(1)[0]
    try:
        found, _ = dry_run(Source(path=str(stored(tmp_path / "set", kind, images))))
        assert kind == "folder"
        assert found["unreadable"] == 11
    except FairLabError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert "set" in str(error)  # noqa: PT017


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_formats_are_images_everywhere(tmp_path: Path, kind: str, form: str) -> None:
    """Without loss, so pixel by pixel what was stored; folders take their endings in capitals too."""
    pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, lossless=True)
    images: list[bytes | None] = [*jpegs()]
    images[3] = stream.getvalue()
    root = stored(tmp_path / "set", kind, images)
    if kind == "folder":
        (root / "p01" / "3.jpg").rename(root / "p01" / f"3.{form}")
    found, listing = dry_run(Source(path=str(root)))
    assert (len(listing.images), found["unreadable"]) == (12, 0), found["problems"]
    assert (decode(stream.getvalue(), "x") == pixels).all()
