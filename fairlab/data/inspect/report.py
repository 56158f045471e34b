"""What was understood of somebody's data, in words and numbers, before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.enrolment import sentence
from fairlab.data.listing import Listing, Problem, has_images, problem
from fairlab.reading.characters import fault_among
from fairlab.settings.study import Source


def report(kind: str, why: str, source: Source, listing: Listing, looked: pd.DataFrame) -> dict[str, Any]:
    """Everything a person wants to know before adding; plain JSON values.

    Keys: kind, why, path, images, identities, images_per_identity (least, median, most), attribute, groups (name ->
    images, identities), parts (part -> images), names (what names of files say), pairs (group -> genuine, impostor,
    folds; without those of unreadable images), looked_at, unreadable, sizes, modes, aligned, without_landmarks
    (data.landmarks), failures_to_enrol (data.enrolment), duplicates, problems, notes, will_do. looked: data.checking's table of some or all images.
    """
    images, pairs = listing.images, listing.pairs
    per_identity = images.groupby("identity", sort=False).size()
    groups = images.groupby("group", sort=False).agg(images=("location", "size"), identities=("identity", "nunique"))
    good = looked[looked["readable"]]
    sizes = (good["width"].astype(str) + "x" + good["height"].astype(str)).value_counts()
    problems = [*listing.problems, *_unreadable(listing, looked), *_common_problems(images, listing, looked)]
    kept = splits_of(source, listing).drop(listing.images.index[_rows_of(looked[~looked["readable"].astype(bool)])])
    parts = {str(part): int(count) for part, count in kept.value_counts(sort=False).items()}
    return {
        "kind": kind,
        "why": why,
        "path": source.path,
        "images": len(images),
        "identities": int(images["identity"].nunique()),
        "images_per_identity": {
            "least": int(per_identity.min()),
            "median": float(per_identity.median()),
            "most": int(per_identity.max()),
        },
        "attribute": listing.attribute,
        "groups": groups.to_dict("index"),
        "parts": parts,
        "names": listing.names,
        "pairs": {} if pairs is None else _pair_counts(pairs[~_lost(listing, looked)]),
        "looked_at": len(looked),
        "unreadable": int((~looked["readable"]).sum()),
        "sizes": {str(size): int(count) for size, count in sizes.items()},
        "modes": {str(mode): int(count) for mode, count in good["mode"].value_counts().items()},
        "aligned": aligned(source, listing, good) if has_images(kind) else "no images",
        "without_landmarks": dict(listing.without),
        "failures_to_enrol": dict(listing.unenrolled),
        "duplicates": int(good["hash"].duplicated().sum()),
        "problems": [str(item) for item in problems],
        "notes": list(listing.notes),
        "will_do": _will_do(source, listing, parts, good)
        if has_images(kind)
        else [f"register the people, groups and pairs of {len(images):,} images, but not the images themselves"],
    }


def splits_of(source: Source, listing: Listing) -> pd.Series:
    """The part of every image: as the user says, else as the data say, else train, or test where there are pairs."""
    if source.split == "auto" and "split" in listing.images:
        return listing.images["split"]
    split = source.split if source.split != "auto" else "train" if listing.pairs is None else "test"
    return pd.Series(split, index=listing.images.index, dtype=object)


def _lost(listing: Listing, looked: pd.DataFrame) -> np.ndarray:
    """Which pairs have an image that cannot be read; not those of templates, which have other images."""
    pairs = listing.pairs
    if pairs is None or listing.templates is not None:
        return np.zeros(0 if pairs is None else len(pairs), bool)
    bad = np.zeros(len(listing.images), bool)
    bad[_rows_of(looked[~looked["readable"].astype(bool)])] = True
    lost: np.ndarray = bad[pairs["image_a"].to_numpy(np.int64)] | bad[pairs["image_b"].to_numpy(np.int64)]
    return lost


def _rows_of(looked: pd.DataFrame) -> np.ndarray:
    return looked["row"].to_numpy(np.int64)


def _pair_counts(pairs: pd.DataFrame) -> dict[str, Mapping[str, int]]:
    return {
        str(group): {
            "genuine": int(part["genuine"].sum()),
            "impostor": int((~part["genuine"]).sum()),
            "folds": int(part["fold"].nunique()),
        }
        for group, part in pairs.groupby("group", sort=False)
    }


def aligned(source: Source, listing: Listing, good: pd.DataFrame) -> str:
    """How faces will come to stand: "as they are", "by landmarks" or "cropped in the middle"."""
    if len(good) and ((good["width"] == source.image_px) & (good["height"] == source.image_px)).all():
        return "as they are"
    if source.align and listing.landmarks is not None:
        return "by landmarks"
    return "cropped in the middle"


def _unreadable(listing: Listing, looked: pd.DataFrame) -> list[Problem | str]:
    """Images that cannot be read, and what could not be enrolled; an image that is both is named once."""
    bad = looked[~looked["readable"].astype(bool)]
    found = problem("images that cannot be read, left out", bad["fault"].tolist())
    failed = listing.unenrolled.get("names", {})
    named = set(listing.images["location"].astype(str).iloc[_rows_of(bad)]) if listing.templates is None else set()
    if found and failed and set(failed) <= named:
        return [f"{found[0]}. {sentence(listing.unenrolled, named=False)}"]
    return [*found, *filter(None, [sentence(listing.unenrolled)])]


def _common_problems(images: pd.DataFrame, listing: Listing, looked: pd.DataFrame) -> list[Problem]:
    found: list[Problem] = []
    names = images["identity"].astype(str).str.rpartition("/")[2]
    several = images.assign(name=names).groupby("name")["group"].nunique()
    found += problem("identities in two groups, kept separate", several.index[several > 1].tolist())
    single = images["identity"].value_counts()
    found += problem("identities with only one image", single.index[single == 1].tolist())
    good = looked[looked["readable"]]
    twins = good[good["hash"].duplicated(keep=False)]
    people = images["identity"].to_numpy(dtype=object)[twins["row"].to_numpy()]
    crossed = twins.assign(identity=people).groupby("hash")["identity"].nunique()
    places = [
        " = ".join(images["location"].iloc[twins.loc[twins["hash"] == value, "row"]].astype(str)[:2])
        for value in crossed.index[crossed > 1][:5]
    ]
    count = int((crossed > 1).sum())
    if count:
        found.append(Problem("the same file under two identities", count, tuple(places)))
    if fault := fault_among(images["group"].drop_duplicates().astype(str).tolist()):
        found.append(Problem("groups that must be renamed before the data can be added", 1, (fault,)))
    if listing.pairs is not None and len(listing.pairs):
        doubled = listing.pairs.duplicated(["image_a", "image_b"])
        found += problem("pairs listed twice", np.flatnonzero(doubled).tolist())
    return found


def _parts(parts: Mapping[str, int]) -> str:
    if len(parts) == 1:
        return f"part '{next(iter(parts))}'"
    return "parts " + ", ".join(f"'{part}' ({count:,})" for part, count in parts.items())


def _will_do(source: Source, listing: Listing, parts: Mapping[str, int], good: pd.DataFrame) -> list[str]:
    how = aligned(source, listing, good)
    px = f"{source.image_px} x {source.image_px} pixels"
    doing = {
        "as they are": f"use images as they are, {px}",
        "by landmarks": f"align faces by their landmarks when they are read, {px}",
        "cropped in the middle": f"crop the middle square and scale it to {px} when images are read; check the mean faces",
    }[how]
    count = sum(parts.values())
    steps = [f"register {count:,} image{'' if count == 1 else 's'} as {_parts(parts)}", doing]
    if source.swap_channels:
        steps.append("swap red and blue channels")
    if source.copy_pixels:
        size = count * source.image_px**2 * 3
        steps.append(f"decode every image once into a file of {size / 1e9:.1f} GB in the workspace")
    else:
        steps.append("copy no images: they are read from their current location")
    return steps
