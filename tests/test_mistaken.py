"""Downloads that failed: every reader of model files says what the file really is."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairlab.errors import FairLabError
from fairlab.jobs.models.importing import report_of
from fairlab.models.files.reading import read_checkpoint
from fairlab.reading.mistaken import check_file
from fairlab.settings.study import ModelFile

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 174000000\n"


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return stream.getvalue()


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "png")
    return stream.getvalue()


CONTENTS = {
    "page": (b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>", "is a web page"),
    "bare page": (b"\xef\xbb\xbf\n <HTML><body>Sign in", "is a web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    "pointer": (POINTER, "is a Git LFS pointer of 174 MB, not the file itself: run `git lfs pull`"),
    "empty": (b"", "is empty: 0 bytes"),
    "zeros": (bytes(5000), "all zeros at its beginning"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99), "is a 7z archive; unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(99), "is a RAR archive; unpack it"),
    "gz": (gzip.compress(b"anything"), "compressed with gzip; unpack it"),
    "tar": (tarred(), "is a tar archive; unpack it"),
    "picture": (picture(), "is a PNG picture"),
}


@pytest.mark.parametrize("suffix", [".pth", ".onnx", ".safetensors", ".npy", ".pth.tar", ".bin"])
@pytest.mark.parametrize("name", list(CONTENTS))
def test_what_the_file_is(tmp_path: Path, name: str, suffix: str) -> None:
    """By one sentence, from `models add` as from the page: both call this."""
    content, words = CONTENTS[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(FairLabError) as error:
        report_of(ModelFile(path=str(path)))
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_short_text_in_place_of_a_checkpoint(tmp_path: Path) -> None:
    """What a server answers for a file that it does not have."""
    (tmp_path / "a.pth").write_bytes(b"Entry not found")
    with pytest.raises(FairLabError, match="is text that begins with 'Entry not found', not a checkpoint"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_length_is_no_magic_number(tmp_path: Path) -> None:
    """A safetensors file begins with the length of its header: any bytes."""
    for length in (0x1F8B + (8 << 16), 0x4D5A, 0x0A0D):
        (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{" + bytes(99))
        check_file(tmp_path / "a.safetensors", "a model")


def test_right_files_pass(tmp_path: Path) -> None:
    """An array, and a checkpoint in both forms."""
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    torch.save({}, tmp_path / "a.pth")
    torch.save({}, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    for name in ("a.npy", "a.pth", "b.pth"):
        check_file(tmp_path / name, "a model")


def test_only_ordinary_files_are_opened(tmp_path: Path) -> None:
    """A pipe would wait for ever, a device never end; a folder is called one."""
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    for name, words in (
        ("pipe.pth", "not a regular file"),
        ("folder.pth", "is a folder"),
        ("none.pth", "does not exist"),
    ):
        with pytest.raises(FairLabError, match=words):
            read_checkpoint(tmp_path / name)
    with pytest.raises(FairLabError, match="not a regular file"):
        read_checkpoint(Path("/dev/zero"))


def test_a_sparse_file_is_not_read_whole(tmp_path: Path) -> None:
    """1 TB that takes no room on the disk, behind the beginning of a real file."""
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    for size, words in ((10**12, "has 1000.0 GB; checkpoints of at most 8.6 GB"), (6 * 10**9, "belong to no tensor")):
        os.truncate(tmp_path / "a.pth", size)
        with pytest.raises(FairLabError, match=words):
            read_checkpoint(tmp_path / "a.pth")
