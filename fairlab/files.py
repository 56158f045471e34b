"""Files that are whole or not there: atomic writes, manifests of hashes, and where the assets lie."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.machine.staying import check
from fairlab.machine.temporaries import beside, sweep
from fairlab.reading.structured import as_read, parse_json

MANIFEST = "manifest.json"
MOST_JSON = 256 << 20
"""Bytes: the names of ten million people."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LISTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._-]{0,199})*")
"""How a manifest may name a file below its folder."""
_ROOT = Path(__file__).resolve().parent


def app_root() -> Path:
    """The folder that holds app.py, pages/ and assets/: the clone, or their copy inside an installed wheel."""
    return _ROOT.parent if (_ROOT.parent / "assets").is_dir() else _ROOT / "_app"


def asset(name: str) -> Path:
    """Path of a file under assets/. Raises FairLabError when the installation lacks it."""
    path = app_root() / "assets" / name
    if not path.exists():
        raise FairLabError(f"the file assets/{name} is missing from this installation; clone or install FairLab again")
    return path


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive power loss (POSIX; Windows cannot open folders)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, so that they survive power loss too. Raises OSError."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    check(folder)
    for part in reversed(missing):  # one by one: what is moved away meanwhile is not made anew
        part.mkdir(exist_ok=True, mode=0o700)
        _flush_folder(part.parent)
    folder.mkdir(exist_ok=True, mode=0o700)


def private_file(path: Path) -> None:
    """Make an empty file that its owner alone can read, and its folder, where there is none yet. Raises OSError."""
    make_folder(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def reserve(path: Path) -> None:
    """Give a file that is only declared (mapped to memory) its place on the disk. Raises OSError where there is none.

    Writing to a mapped file on a full disk would end the process with a signal instead.
    """
    if hasattr(os, "posix_fallocate"):
        with open(path, "rb+") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place: temp, fsync, replace, fsync(folder).

    Whatever goes wrong, `path` holds its old or its new content, never a part. Only its owner can read it. Errors of the system are raised
    as FairLabError with the path and the reason.
    """
    temporary = beside(path)
    check(path)
    try:
        make_folder(path.parent)
        write(temporary)
        temporary.chmod(0o600)  # its owner's alone, whatever the umask of a Python program
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        raise FairLabError(explain(error, path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone already when all went well
            temporary.unlink(missing_ok=True)


def place_folder(temporary: Path, folder: Path) -> None:
    """Put a filled temporary folder in place of `folder`: fsync its files, rename, fsync(parent).

    A kill leaves the old or the new one. Where the system cannot swap two folders in one step the old one is set aside
    first: then a kill may leave none, but never a mixture. Raises OSError, for the caller who knows what was being written.
    """
    check(folder)
    for path in temporary.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as handle:
                os.fsync(handle.fileno())
        else:
            _flush_folder(path)
    _flush_folder(temporary)
    aside = beside(folder.with_name(f"{folder.name}.old"))
    if folder.exists() and _swap(temporary, folder):
        aside = temporary
    else:
        if folder.exists():
            os.replace(folder, aside)
        os.replace(temporary, folder)
    _flush_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two folders in one step: renameat2(2) of Linux; False where system or file system (NFS) cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system or C library
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fcntl.h and linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def explain(error: OSError, path: Path, needed: int = 0) -> str:
    """One sentence for an error of the file system; needed: bytes that were to be written, where known."""
    if error.errno in NO_ROOM:
        room = f"{shutil.disk_usage(_existing(path)).free / 1e6:.1f} MB free"
        wanted = f", about {needed / 1e6:.1f} MB needed" if needed else ""
        return f"the disk is full: could not write {path} ({room}{wanted}); free some space and resume"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write {path}; choose another workspace with --home or FAIRLAB_HOME"
    return f"could not write {path}: {error.strerror or error}"


def sentence_of(error: OSError) -> str:
    """An error of the system in one sentence, with the path where it names one."""
    where = error.filename if isinstance(error.filename, str | bytes) else ""
    path = os.fsdecode(where)
    if isinstance(error, PermissionError):
        return (
            f"no permission for {path}; its owner can give it (chmod)"
            if path
            else "no permission for a file that this needs"
        )
    if error.errno in NO_ROOM:
        return (
            f"the disk is full: could not write {path}; free some space, e.g. with `fairlab storage prune`"
            if path
            else "the disk is full"
        )
    why = error.strerror or str(error)
    return f"{path}: {why[:1].lower()}{why[1:]}" if path else f"the system refused: {why}"


def there(path: Path) -> bool:
    """path.exists(), but where that may not be looked at, or is a broken link, an error says so: FairLabError."""
    try:
        if path.exists():
            return True
        for part in (path, *path.parents):
            if part.is_symlink() and not part.exists():
                raise Damaged(f"{part} is a broken link")
        return False
    except OSError as error:  # Python before 3.12 lets "permission denied" through
        raise FairLabError(f"could not look at {path}: {sentence_of(error)}") from error


def behind(error: Exception) -> OSError:
    """The system's error behind one of a library, which has it as its cause or only in its text ("os error 28")."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    number = re.search(r"\(os error (\d+)\)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code) if number else str(error))


def is_disk_full(error: BaseException | None) -> bool:
    """Did a full disk, or a used-up quota, cause this error?"""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def ordinary(path: Path) -> Path:
    """`path`, unless it leads to something that is no data: a pipe, a device, the system's view of its processes.

    Those may never end, wait for ever, or tell secrets in an error. Raises FairLabError; nothing need be there.
    """
    try:
        real = path.resolve()
        odd = real.exists() and not (real.is_file() or real.is_dir())
    except (OSError, ValueError, RuntimeError) as error:  # names too long, NUL, links in a circle
        raise FairLabError(f"{str(path)[:200]!r} is not a path that can be read") from error
    if odd or any(place.is_relative_to(root) for place in (path, real) for root in ("/proc", "/sys", "/dev")):
        raise FairLabError(f"{path} is a pipe, a device or a system file; name a regular file or folder")
    return path


def not_there(path: Path, overwrite: bool = False) -> Path:
    """`path`, for a file that a user asked for by name. Raises Refused where one is there that nobody asked to replace."""
    if not overwrite and os.path.lexists(path):
        raise Refused(f"{path} already exists: choose another name, or replace it with --overwrite")
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically."""
    write_atomic(path, lambda temporary: _dump(temporary, content))


def _dump(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def read_json(path: Path, kind: type = dict) -> Any:
    """Read a JSON file of ours, of which the outermost value is a `kind`: dict or list.

    Raises FairLabError (missing, no permission) or Damaged (not JSON, another kind, too large or too deep), naming the file.
    """
    return parse_json(read_bytes(path, MOST_JSON), str(path), kind)


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a small file of ours. Raises FairLabError (missing, closed) or Damaged (larger, no file), naming it.

    A pipe, which would keep its reader waiting for ever, a device and a folder are no files.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            what = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe, a socket or a device"
            raise Damaged(f"{path} is {what}; expected a file")
        if facts.st_size > most:
            raise Damaged(f"{path} is too large for a file of FairLab: {facts.st_size:,} of {most:,} bytes")
        return path.read_bytes()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise Damaged(f"{path} is a link to a missing file") from error
        raise FairLabError(f"{path} does not exist; was its folder deleted?") from error
    except (OSError, ValueError) as error:  # ValueError: a name that is none
        raise FairLabError(f"could not read {path}: {getattr(error, 'strerror', None) or error}") from error


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any, length: int = 64) -> str:
    """Hex SHA-256 of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def write_manifest(folder: Path, names: Iterable[str], **facts: Any) -> None:
    """Record size and SHA-256 of the named files of `folder`, with further `facts`, in its manifest.json.

    The entry "check" is the hash of all the others, so that a flipped bit in the manifest itself is seen too.
    """
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names}
    content = as_read({"files": files, **facts})  # what a reader will get: lists, text keys
    write_json(folder / MANIFEST, {**content, "check": digest(content)})


def amend_manifest(folder: Path, into: Path, changed: Iterable[str], **facts: Any) -> None:
    """The manifest of `folder` as it is once the files `changed` are replaced by those in `into`; written there."""
    manifest = read_manifest(folder)
    for name in changed:
        manifest["files"][name] = {"bytes": (into / name).stat().st_size, "sha256": sha256(into / name)}
    content = as_read({**manifest, **facts})
    write_json(into / MANIFEST, {**content, "check": digest(content)})


def read_manifest(folder: Path) -> dict[str, Any]:
    """A folder's manifest without looking at its files. Raises FairLabError (missing) or Damaged."""
    path = folder / MANIFEST
    manifest = read_json(path)
    if not isinstance(manifest.get("files"), dict):
        raise Damaged(f"{path} is not a manifest of FairLab: it lists no files")
    for name, entry in manifest["files"].items():
        size, found = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not _LISTED.fullmatch(name) or type(size) is not int or size < 0 or not isinstance(found, str):
            raise Damaged(f"{path} is not a manifest of FairLab: it lists {name[:80]!r} without a size and hash")
    check = manifest.pop("check", None)  # written since 0.1; without it there is nothing to compare
    if check is not None and check != digest(manifest):
        raise Damaged(f"{path} is damaged: its content does not match its own hash")
    return manifest


def verify_manifest(folder: Path) -> dict[str, Any]:
    """Check every file of a manifest against its hash and return the manifest. Raises Damaged, naming the file."""
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        try:
            if not path.is_file():
                raise Damaged(f"{path} is missing although {folder / MANIFEST} lists it")
            whole = path.stat().st_size == expected["bytes"] and sha256(path) == expected["sha256"]
        except OSError as error:
            raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
        if not whole:
            raise Damaged(f"{path} is damaged: its content differs from the one recorded in {folder / MANIFEST}")
    return manifest


def remove_folder(folder: Path, home: Path) -> None:
    """Delete a folder, which is gone at once for every reader: set aside in `home`, on the same disk, then removed.

    After a kill it is there or not, and the next call removes what is left of it. A folder that is not there is no error.
    Raises FairLabError, saying which of the two failed.
    """
    sweep(home)
    if not folder.is_dir():
        return
    grave = beside(home / folder.name)
    try:
        if grave.exists():
            shutil.rmtree(grave)
        os.replace(folder, grave)
        _flush_folder(folder.parent)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    try:
        shutil.rmtree(grave)
    except OSError as error:
        raise FairLabError(
            f"{folder.name} is deleted, but its files still take space in {grave}: {error.strerror or error}; remove "
            f"that folder"
        ) from error
