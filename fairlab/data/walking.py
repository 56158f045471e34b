"""Every file below a folder, in an order that no file system changes; links to folders are followed, each folder once.

Whoever keeps the images of many sets on one large disk links to them, so a walk that leaves links out would lose images
in silence, and one that follows them blindly would never end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlab.data.listing import PICTURES, Problem, Progress, Stop, problem
from fairlab.errors import FairLabError, Stopped

_BEAT_S = 0.25


class Pace:
    """Called for every file: tells how many there are, and hears a stop, four times a second whatever a folder holds."""

    def __init__(self, progress: Progress, stop: Stop) -> None:
        self.progress, self.stop, self.done, self._due = progress, stop, 0, 0.0

    def __call__(self) -> None:
        """Raises Stopped."""
        now = time.monotonic()
        if now < self._due:
            return
        if self.stop():
            raise Stopped
        self.progress(self.done, 0)
        self._due = now + _BEAT_S


@dataclass
class Links:
    """What a walk met beside its files."""

    outside: list[str] = field(default_factory=list)
    """Folders outside the root that links led to."""
    again: list[str] = field(default_factory=list)
    """Links to folders that are read at another place."""
    nameless: list[str] = field(default_factory=list)
    """Names that are no UTF-8 text, which no table could hold."""
    odd: list[str] = field(default_factory=list)
    """Pipes, devices and other things that are no files: reading one may never end."""

    def problems(self) -> list[Problem]:
        """What was left out."""
        found = problem("links to folders that are already read elsewhere, left out", self.again)
        found += problem("names that are not UTF-8, left out", self.nameless)
        return found + problem("pipes and devices, left out", self.odd)

    def notes(self) -> list[str]:
        """What was followed out of the root."""
        return [str(item) for item in problem("folders read through links to other places", self.outside)]


@dataclass(frozen=True)
class Tree:
    """Files below a root; names with "/" between their parts."""

    files: list[str]
    """Images at the depth asked for."""
    others: list[str]
    """Other files there."""
    elsewhere: list[str]
    """Images at another depth."""
    links: Links

    def problems(self) -> list[Problem]:
        """What was left out, counted."""
        found = problem("files that are not images, left out", self.others)
        return found + problem("images at another depth, left out", self.elsewhere) + self.links.problems()


def folders_below(root: Path, pace: Pace, links: Links, strict: bool = True) -> Iterator[tuple[str, list[str]]]:
    """(folder, its files): both sorted, a folder before those in it; its name below `root` ends in "/", the root's is "".

    Hidden names are left out. Links to folders are followed unless the folder is read at another place: it lies below
    `root`, or another link has led to it. Raises Stopped; FairLabError when `strict` and a folder cannot be read.
    """
    inside = os.path.realpath(root)
    seen: set[str] = set()
    waiting: list[tuple[str, str]] = [("", "")]  # name below the root, its real path where a link led out of it
    while waiting:
        below, outside = waiting.pop()
        files: list[str] = []
        further: list[tuple[str, str]] = []
        try:
            entries = os.scandir(os.path.join(root, below))
        except OSError as error:
            if strict:
                raise FairLabError(f"{error.filename} cannot be read: {error.strerror}") from error
            continue
        with entries:
            for entry in entries:
                pace()
                name = entry.name
                if name.startswith("."):
                    continue
                if not name.isascii() and not _is_text(name):
                    links.nameless.append((below + name).encode("utf-8", "backslashreplace").decode())
                    continue
                folder, link = _kind(entry)
                if not folder and not _is_file(entry):
                    links.odd.append(below + name)
                    continue
                if not folder:
                    files.append(name)
                    pace.done += 1
                    continue
                real = os.path.realpath(entry.path) if link else os.path.join(outside, name) if outside else ""
                if not real:
                    further.append((name, ""))
                elif real in seen or _is_below(real, inside):
                    links.again.append(below + name)
                else:
                    further.append((name, real))
        ahead: list[tuple[str, str]] = []
        for name, real in sorted(further):
            if real in seen:  # two links in one folder
                links.again.append(below + name)
                continue
            if real:
                seen.add(real)
                if not outside:
                    links.outside.append(below + name)
            ahead.append((f"{below}{name}/", real))
        waiting += reversed(ahead)
        yield below, sorted(files)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """(is it a folder? a link?)"""
    try:
        return entry.is_dir(), entry.is_symlink()
    except OSError:  # a link that leads to itself
        return False, True


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also a link that leads nowhere: whoever reads it will say so."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def _is_below(real: str, root: str) -> bool:
    """Will `real` be read at its own place? Not what hides behind a dot."""
    if real == root:
        return True
    place = real.removeprefix(root.rstrip(os.sep) + os.sep)
    return place != real and not any(part.startswith(".") for part in place.split(os.sep))


def walk(root: Path, depth: int, progress: Progress, stop: Stop) -> Tree:
    """All files below `root`, sorted by folder; images are right at `depth` names, or, when that is 0, at the depth of
    most of them. Raises Stopped, FairLabError.
    """
    links = Links()
    pace = Pace(progress, stop)
    pictures: dict[int, list[str]] = {}
    others: dict[int, list[str]] = {}
    for below, names in folders_below(root, pace, links):
        level = below.count("/") + 1
        for name in names:
            kinds = pictures if name.lower().endswith(PICTURES) else others
            kinds.setdefault(level, []).append(below + name)
    depth = depth or usual_depth({level: len(files) for level, files in pictures.items()})
    files = pictures.pop(depth, [])
    progress(len(files), 0)
    elsewhere = [name for level in sorted(pictures) for name in pictures[level]]
    return Tree(files, others.get(depth, []), elsewhere, links)


def usual_depth(counts: Mapping[int, int]) -> int:
    """The depth with most images, the deepest of several; 0 without images."""
    return max(counts, key=lambda level: (counts[level], level), default=0)


def glance(root: Path, most: int = 2000) -> list[str]:
    """The first `most` images under `root` in sorted order, those of other depths than most of them left out.

    A quick look at what may be millions of files: what a listing says may differ.
    """
    found: dict[int, list[str]] = {}
    count = 0
    pace = Pace(lambda _done, _total: None, lambda: False)
    for below, names in folders_below(root, pace, Links(), strict=False):
        pictures = [below + name for name in names if name.lower().endswith(PICTURES)]
        found.setdefault(below.count("/") + 1, []).extend(pictures)
        count += len(pictures)
        if count >= most or pace.done > 50 * most:
            break
    return found.get(usual_depth({level: len(files) for level, files in found.items()}), [])
