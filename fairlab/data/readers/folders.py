"""Folders of images: <group>/<identity>/<image> or <identity>/<image>, e.g. BUPT-BalancedFace or a synthetic set, also in
parts (VGGFace2's train/<identity>/<image>), or flat, where the names of files or a list of pairs tell who is shown
(CALFW, CPLFW, AgeDB).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairlab.data.attributes import with_columns, with_groups
from fairlab.data.listing import MAX_IMAGE_BYTES, READERS, Listing, Problem, Progress, Stop, problem
from fairlab.data.names.arranging import Arrangement, arrange, as_table, one_kind
from fairlab.data.names.parts import part_of, shared_by_parts
from fairlab.data.names.patterns import Told, by_custom, by_template, preview
from fairlab.data.names.rows import rows_of
from fairlab.data.readers.finding_lists import listed_pairs
from fairlab.data.readers.pair_files import resolve
from fairlab.data.readers.pair_lists import PairList
from fairlab.data.walking import glance, walk
from fairlab.errors import Damaged, FairLabError
from fairlab.settings.study import Source


def descend(path: Path) -> Path:
    """The folder where the data begin: wrappings that hold nothing but one folder are unpacked, four at most.

    A folder called train, val or test is no wrapping: it says which part its images are.
    """
    for _ in range(4):
        inside = [entry for entry in os.scandir(path) if not entry.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir() or part_of(inside[0].name, alone=True):
            break
        below = Path(inside[0].path)
        if not any(entry.is_dir() for entry in os.scandir(below)):
            break  # a single identity
        path = below
    return path


def people_in_folders(path: Path) -> bool:
    """Do the images of a folder lie in folders of people? From a quick look."""
    found = arrange(glance(descend(path)))
    return found is not None and found.identity is not None


@READERS.register("folders", title="folders of images", order=90, names=True)
class Folders:
    """Identity by folder, by the file's name or from a list; group by the folder above, by the name or from a table."""

    def detect(self, path: Path) -> str:
        """Images, with at most a part, a group and a person above them."""
        try:
            files = glance(descend(path)) if path.is_dir() else []
        except OSError:
            return ""
        found = arrange(files) if files else None
        return found.said if found else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Sorted by name, so that two file systems give the same numbers to the same images."""
        root = descend(path) if path.is_dir() else path
        tree = walk(root, 0, progress, stop)
        if not tree.files:
            raise FairLabError(
                f"{path} has no images as identity/image or group/identity/image (JPEG, PNG, WebP, BMP or TIFF, by "
                f"file extension)"
            )
        files, others = one_kind(tree.files)
        tree = replace(tree, files=files)
        arrangement = arrange(tree.files)
        if arrangement is None:
            raise FairLabError(
                f"{path} has images as {tree.files[0]}, deeper than part, group and person; name a subfolder"
            )
        images = as_table(tree.files, arrangement)
        listed, problems = listed_pairs(list(dict.fromkeys((path if path.is_dir() else root, root))), images, source)
        images, notes, named, left_out = _with_people(path, images, arrangement, listed, source)
        images, attribute, ungrouped = _grouped(images, source)
        problems += [*left_out, *ungrouped]
        pairs = None
        used = [Path(source.groups_table).expanduser()] if source.groups_table else []
        if listed is not None:
            pairs, missing = resolve(listed.pairs, images, listed.path)
            problems += [*(f"{listed.path.name}: {text}" for text in listed.problems), *missing]
            notes.append(f"pairs of {listed.path}")
            used.append(listed.path)
        tree = replace(tree, others=[name for name in tree.others if root / name not in used])
        left = problem("images outside the folder of aligned ones, left out", others)
        problems = [*tree.problems(), *left, *problems, *shared_by_parts(images), *_spare_tables(path, root, used)]
        said = [f"{arrangement.said} in {root}", *notes, *tree.links.notes()]
        return Listing(images, attribute, pairs, None, problems, said, names=named)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below the root."""
        return read_below(descend(path), locations)


def _spare_tables(path: Path, root: Path, used: Sequence[Path]) -> list[Problem]:
    """Tables where the images begin, or in the folder that was named, which may be about the images."""
    folders = dict.fromkeys((path, root)) if path.is_dir() else ()
    there = [item for folder in folders for item in sorted(folder.iterdir()) if not item.name.startswith(".")]
    spare = [item.name for item in there if item.suffix.lower() in (".csv", ".tsv") and item not in used]
    return problem("tables next to the images, not used (name one as groups_table or pair_list)", spare)


def _grouped(images: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, str, list[Problem]]:
    if any(str(name).startswith("attribute.") for name in images):
        return with_columns(images, source)
    return with_groups(images, source, "group" if "group" in images else "")


def _with_people(
    path: Path, images: pd.DataFrame, arrangement: Arrangement, listed: PairList | None, source: Source
) -> tuple[pd.DataFrame, list[str], str, list[Problem | str]]:
    """`images` with identities, and attributes that names say: (images, notes, preview of names, problems)."""
    files = images["location"].tolist()
    if source.identity_pattern:
        return _told(images, by_template(source.identity_pattern, files))
    bare = listed is not None and not listed.pairs[["image_a", "image_b"]].stack().str.contains("/").any()
    if arrangement.identity is not None and not arrangement.alone:
        folders = Told(images[["identity"]].assign(fits=True), arrangement.said)
        if listed is None or not bare or _agree(folders, images, listed):
            return images, [], "", []
    for told in by_custom(files):
        several = told.fields["identity"].nunique() > 1
        if (several or arrangement.identity is None) and (listed is None or _agree(told, images, listed)):
            return _told(images, told)
    if listed is not None:
        images = images.assign(identity=_by_pairs(images, listed))
        note = f"people are inferred from the genuine pairs of {listed.path.name}; every other image is its own person"
        return images, [note], "", []
    if arrangement.identity is not None:  # one folder, one person
        return images, [], "", []
    raise FairLabError(
        f"{path} has images without a folder per person, whose names do not give the identity, e.g. {files[0]!r}: "
        "sort them into a folder per person, or give identity_pattern, e.g. {identity}_{number} ({number} alone: "
        f"every image is its own person), or a list of pairs as pair_list"
    )


def _told(images: pd.DataFrame, told: Told) -> tuple[pd.DataFrame, list[str], str, list[Problem | str]]:
    """`images` with what their names say; those whose names do not fit are left out."""
    fields = told.fields
    fits = fields["fits"].to_numpy(bool)
    found = problem("images whose name does not give the identity, left out", images["location"][~fits].tolist())
    images = images[fits].reset_index(drop=True)
    fields = fields[fits].reset_index(drop=True)
    images["identity"] = fields["identity"] if told.says_identity else images["location"].str.replace("/", ":")
    notes = [told.how]
    if not told.says_identity:
        notes.append("the names give no identity, so every image is its own")
    for name in fields.columns.difference(["identity", "fits"], sort=False):
        parts = fields[name].map(part_of)
        if name == "part" and (parts != "").all():
            images["split"] = parts
        else:
            images[f"attribute.{name}"] = fields[name]
    if "group" in images and "attribute.group" not in images:  # of a folder above
        images["attribute.group"] = images.pop("group")
    if "attribute.group" in images and told.says_identity:
        images["identity"] = images["attribute.group"] + "/" + images["identity"]
    return images, notes, preview(images["location"].tolist(), images["identity"].tolist()), [*found]


def _agree(told: Told, images: pd.DataFrame, listed: PairList) -> bool:
    """Does no pair of the list contradict what the names say?"""
    people = told.fields["identity"].to_numpy(dtype=object)
    fits = told.fields["fits"].to_numpy(bool)
    a, b, genuine = _rows(images, listed)
    known = fits[a] & fits[b]
    return bool(((people[a] == people[b]) == genuine)[known].all())


def _rows(images: pd.DataFrame, listed: PairList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the two images of every pair whose images are there, and whether it is genuine."""
    a, b = (rows_of(listed.pairs[side].tolist(), images) for side in ("image_a", "image_b"))
    there = (a >= 0) & (b >= 0)
    return a[there], b[there], listed.pairs["genuine"].fillna(False).to_numpy(bool)[there]


def _by_pairs(images: pd.DataFrame, listed: PairList) -> list[str]:
    """The identity of every image: the name of the first image that genuine pairs join to it."""
    a, b, genuine = _rows(images, listed)
    count = len(images)
    joined = coo_array((np.ones(int(genuine.sum())), (a[genuine], b[genuine])), shape=(count, count))
    person = connected_components(joined, directed=False)[1]
    first = np.unique(person, return_index=True)[1]
    names = images["location"].str.replace("/", ":").str.rpartition(".")[0].to_numpy(dtype=object)
    return list(names[first[person]])


def read_below(root: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
    """read(row) -> the content of the file locations[row] below `root`; half the time of Path.read_bytes.

    Raises Damaged for what is no ordinary file, or too large for an image: a sparse file may claim a terabyte.
    """
    folder = str(root)

    def read(row: int) -> bytes:
        name = f"{folder}{os.sep}{locations[row]}"
        with open(
            os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb", buffering=0
        ) as handle:
            facts = os.fstat(handle.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Damaged(f"{name} is a pipe or a device, not an image file")
            if facts.st_size > MAX_IMAGE_BYTES:
                raise Damaged(f"{name} has {facts.st_size:,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
            return handle.read()

    return read
