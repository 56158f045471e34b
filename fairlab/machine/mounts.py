"""What a folder lies on: a disk of this machine, or a file system that several machines share."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import psutil

NETWORK = (
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cephfs", "cifs", "coda", "davfs", "fhgfs", "gfs2", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "ocfs2", "orangefs", "panfs", "pvfs2", "s3fs", "smb", "sshfs", "vboxsf", "webdav", "weka",
)  # fmt: skip
"""How the names of such file systems begin, also behind "fuse.": nfs4 and smbfs count, fuse.sshfs too."""


def file_system(path: Path) -> str:
    """Name of the file system that holds `path`, which need not exist yet; "" when the system does not say."""
    return _mounted(str(path.expanduser().resolve()))


@cache
def _mounted(path: str) -> str:
    best, kind = "", ""
    for mount in psutil.disk_partitions(all=True):  # the last of several mounts on one folder is the one seen
        inside = path == mount.mountpoint or path.startswith(mount.mountpoint.rstrip(os.sep) + os.sep)
        if inside and len(mount.mountpoint) >= len(best):
            best, kind = mount.mountpoint, mount.fstype.lower()
    return kind


def shared_by_machines(path: Path) -> bool:
    """Does `path` lie on a file system that other machines may write to at the same time?"""
    return str(path).startswith(("\\\\", "//")) or file_system(path).removeprefix("fuse.").startswith(NETWORK)


def catalogue_folder(home: Path) -> Path:
    """Where the catalogue of the workspace `home` lies: in it, or on this machine when the workspace is on shared storage.

    SQLite's write-ahead log needs memory that all its users share, so it is for one machine; and the catalogue is only an
    index, which every machine can have for itself. FAIRLAB_CATALOGUE names another folder to keep catalogues in.
    """
    asked = os.environ.get("FAIRLAB_CATALOGUE")
    if not asked and not shared_by_machines(home):
        return home
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base = Path(asked).expanduser() if asked else Path(cache_home) / "fairlab"
    return base / hashlib.sha256(str(home.expanduser().resolve()).encode()).hexdigest()[:16]
