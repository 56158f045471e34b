"""Other people's images: what is read, what is refused, and that nothing else happens."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from fairlab.data.decode import decode, describe
from fairlab.errors import Damaged


def encoded(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def declared_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is large: its compressed rows are all one value."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


RED = np.tile(np.array([200, 30, 90], np.uint8), (4, 6, 1))


def test_colours_come_as_red_green_blue() -> None:
    assert (decode(encoded(RED), "x") == RED).all()
    assert describe(encoded(RED), "x") == (6, 4, "RGB")
    assert (decode(encoded(RED, "WEBP", lossless=True), "x") == RED).all()


def test_grey_alpha_palette_and_sixteen_bits_become_colours_of_eight() -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    assert (decode(encoded(grey), "x") == grey[:, :, None]).all()
    deep = grey.astype(np.uint16) * 257  # 16-bit white is 65535, 8-bit white is 255
    assert (decode(encoded(deep), "x") == grey[:, :, None]).all()
    clear = np.dstack([RED, np.full((4, 6), 7, np.uint8)])
    assert (decode(encoded(clear), "x") == RED).all()
    stream = io.BytesIO()
    Image.fromarray(RED).quantize(4).save(stream, "PNG")
    assert (decode(stream.getvalue(), "x") == RED).all()


def test_a_picture_that_lies_on_its_side_is_turned() -> None:
    """EXIF orientation 6: the camera was turned; the top of the scene is the right of the file."""
    tags = Image.Exif()
    tags[0x0112] = 6
    scene = np.zeros((16, 32, 3), np.uint8)
    scene[:, :16] = 255
    assert decode(encoded(scene, "JPEG", exif=tags, quality=95), "x").shape == (32, 16, 3)


@pytest.mark.parametrize("side", [5001, 13_000, 20_000])
def test_a_small_file_that_declares_a_huge_picture_is_refused_at_once(side: int) -> None:
    tracemalloc.start()
    with pytest.raises(Damaged, match=r"faces/x\.png declares more than 25,000,000 pixels, the limit"):
        decode(declared_png(side, side), "faces/x.png")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(50), b"%PDF-1.4" + bytes(50), b"SIMPLE  =" + bytes(2880)])
def test_other_formats_are_refused_by_content_not_by_name(data: bytes) -> None:
    with pytest.raises(Damaged, match=r"a\.jpg is not a readable JPEG, PNG, WebP, BMP or TIFF image"):
        decode(data, "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_cut_files_never_become_half_a_face(kind: str) -> None:
    """Cut anywhere: refused, or every pixel is there (a JPEG's last bytes may be its end mark only)."""
    rng = np.random.default_rng(0)
    data = encoded(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8), kind)
    whole = decode(data, "x")
    refused = 0
    for cut in np.linspace(0, len(data) - 3, 200).astype(int):
        try:
            assert (decode(data[:cut], "x") == whole).all()
        except Damaged:
            refused += 1
    assert refused >= 195


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_flipped_bytes_end_in_an_image_or_a_sentence(kind: str) -> None:
    rng = np.random.default_rng(1)
    data = encoded(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8), kind)
    for place in rng.integers(0, len(data), 200):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        with contextlib.suppress(Damaged):
            assert decode(bytes(damaged), "x").dtype == np.uint8


def picture(height: int, width: int, colours: int) -> np.ndarray:
    """Something with soft edges, as photographs have."""
    coarse = np.random.default_rng(height + width).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.convert("L") if colours == 1 else image)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize(("height", "width", "colours"), [(112, 112, 3), (97, 53, 3), (1, 1, 3), (112, 112, 1)])
def test_the_fast_decoder_gives_pillows_pixels(
    height: int, width: int, colours: int, subsampling: int, progressive: bool
) -> None:
    pytest.importorskip("simplejpeg")
    data = encoded(
        picture(height, width, colours), "JPEG", quality=90, subsampling=subsampling, progressive=progressive
    )
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert (decode(data, "x") == theirs).all()
    room = np.zeros((height, width, 3), np.uint8)
    assert decode(data, "x", room) is room
    assert (room == theirs).all()


def test_damaged_files_are_judged_alike_with_and_without_the_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut, flipped in the header, flipped in the pixels, lengthened: the same pixels or the same sentence."""
    pytest.importorskip("simplejpeg")
    random, whole = np.random.default_rng(0), encoded(picture(112, 112, 3), "JPEG", quality=95)
    damaged = [whole[: int(random.integers(len(whole)))] for _ in range(50)] + [whole + b"more"]
    for reach in (620, len(whole)):
        for _ in range(150):
            changed = bytearray(whole)
            changed[int(random.integers(reach))] = int(random.integers(256))
            damaged.append(bytes(changed))

    def outcome(data: bytes) -> str | tuple[tuple[int, ...], bytes]:
        try:
            pixels = decode(data, "x")
        except Damaged as error:
            return str(error)
        return pixels.shape, pixels.tobytes()

    fast = [outcome(data) for data in damaged]
    monkeypatch.setattr("fairlab.data.decode._turbo", lambda: None)
    assert fast == [outcome(data) for data in damaged]
    assert 50 <= sum(isinstance(result, str) for result in fast) < len(fast)


def test_room_of_another_size_is_left_alone() -> None:
    room = np.full((112, 112, 3), 7, np.uint8)
    image = decode(encoded(picture(100, 112, 3), "JPEG"), "x", room)
    assert image.shape == (100, 112, 3)
    assert (room == 7).all()
