"""A file that is not what its name says: a web page, a Git LFS pointer, an archive, a picture, or nothing at all.

Downloads fail in these ways: a page that asks for a login is saved as `model.pth`, a clone without Git LFS leaves pointers of
130 bytes, an archive keeps its model inside. Readers ask here first, so that the message says what the file is.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from pathlib import Path

from fairlab.errors import Damaged, FairLabError

HEAD_BYTES = 2048
LFS = b"version https://git-lfs.github.com/spec/v1"
WEB_PAGE = re.compile(rb"^\s*(<!doctype html|<html|<head|<script|<\?xml|<!--)", re.I)
ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!": "a RAR archive", b"\x1f\x8b\x08": "compressed with gzip",
    b"BZh": "compressed with bzip2", b"\xfd7zXZ\x00": "compressed with xz", b"\x28\xb5\x2f\xfd": "compressed with zstd",
}  # fmt: skip
OTHERS = {
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture", b"%PDF": "a PDF document",
    b"\x7fELF": "a program", b"MZ\x90\0": "a program", b"\x89HDF": "an HDF5 file (Keras or Caffe)", b"PAR1": "a parquet table",
    b"\x93NUMPY": "a numpy array",
}  # fmt: skip
ZIP = b"PK\x03\x04"
KINDS = {b"\x93NUMPY": (".npy",), b"PAR1": (".parquet",), b"\x89HDF": (".h5", ".hdf5")}
"""Beginnings that are right under these names."""


def check_file(path: Path, wanted: str) -> None:
    """Raise FairLabError or Damaged when a file is plainly not `wanted`, e.g. "a model": one sentence says what it is.

    A file of any unknown content passes; its reader knows more. Nothing but its first bytes is read.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "not a regular file (a device, a socket or a pipe)"
            raise FairLabError(f"{path} is {kind}, not {wanted}")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist") from error
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    if words := content_of(path, head):
        raise Damaged(f"{path} is {words}")


def content_of(path: Path, head: bytes) -> str:
    """What the beginning of a file shows it to be, with what to do about it; "" where nothing is known to be wrong."""
    if head[4:9] == b"\0\0\0\0{":
        return ""  # safetensors, whose first bytes are a length: any number
    if not head:
        return "empty: 0 bytes; copy or download it again"
    if head.startswith(LFS):
        return lfs_words(head)
    if WEB_PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "a web page (HTML or XML), not the file itself; open the link in a browser and download what the page offers"
    if not head.strip(b"\0"):
        return "all zeros at its beginning, probably from an interrupted download; download it again"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it and choose the file inside"
    for start, words in ARCHIVES.items():
        if head.startswith(start):
            return f"{words}; unpack it and choose the file inside"
    for start, words in OTHERS.items():
        if head.startswith(start) and path.suffix.lower() not in KINDS.get(start, ()):
            return f"{words}, not what its name says"
    return ""


def lfs_words(head: bytes) -> str:
    """ "a Git LFS pointer of 174 MB: ...", from the pointer's own lines."""
    size = re.search(rb"^size (\d{1,18})$", head, re.M)
    length = f" of {_bytes(int(size[1]))}" if size else ""
    return f"a Git LFS pointer{length}, not the file itself: run `git lfs pull` in its repository"


def _bytes(count: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count} bytes"


def members_of(path: Path) -> list[str]:
    """Names of the files in a zip archive, as they stand in its table of contents. Raises zipfile.BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        return [member.filename for member in archive.infolist()]
