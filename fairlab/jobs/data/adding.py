"""The job that registers somebody's data: list, look at every image once, write the tables; nothing is copied unasked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.align import RULE
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.enrolment import failures, joined
from fairlab.data.inspect.changes import difference, seen
from fairlab.data.inspect.checking import LOOKED_AT, look_at, sample
from fairlab.data.inspect.previews import alignment_strips, group_pictures, png
from fairlab.data.inspect.report import aligned, report, splits_of
from fairlab.data.kept_pixels import Elsewhere
from fairlab.data.landmarks import judged
from fairlab.data.listing import READERS, Listing, detect_kind, has_images, reader
from fairlab.data.pixels import EncodedPixels
from fairlab.data.points import aligned as points_of_crops
from fairlab.data.points import in_the_middle
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.files import (
    digest,
    explain,
    make_folder,
    not_there,
    ordinary,
    read_json,
    reserve,
    write_atomic,
    write_bytes,
    write_json,
)
from fairlab.jobs.job import Job
from fairlab.machine.temporaries import beside
from fairlab.settings.study import Source
from fairlab.store.runs import RunRecord
from fairlab.tables import PAIRS

FILES = "files.parquet"
"""In a run's folder: the files that its data lay in when they were added (data.changes)."""
SAMPLE = 5000
"""Images decoded for a report; adding looks at all."""


@dataclass(frozen=True)
class Place:
    """Where data lie, and as what they are read."""

    source: Source
    path: Path
    kind: str
    why: str
    """Why the data are of this kind."""

    def listing(self, progress: Callable[[int, int], None], stop: Callable[[], bool]) -> Listing:
        """All that lies there, by the reader of its kind."""
        return reader(self.kind).listing(self.path, self.source, progress, stop)

    def access(self, images: pd.DataFrame) -> tuple[Callable[[int], bytes], Callable[[int], str]]:
        """(the content of a row's file, its name in messages) of these images (tables.IMAGES)."""
        locations = images["location"].to_numpy(dtype=object)
        return reader(self.kind).opener(self.path, locations), lambda row: f"{self.path}, {locations[row]}"

    def view(self, images: pd.DataFrame, landmarks: np.ndarray | None) -> EncodedPixels:
        """The images as they are handed out, aligned where there are landmarks (N, 5, 2)."""
        read, name = self.access(images)
        return EncodedPixels(read, name, len(images), self.source.image_px, landmarks, self.source.swap_channels)


def inspect(job: Job) -> dict[str, Any]:
    """The job behind the page: the report of data that are not added yet, with pictures, in the run's folder."""
    record = job.record
    source = record.config.source
    assert source is not None
    looking = job.progress.part(0.9, "inspecting the data")
    found, listing = dry_run(source, looking.advance, job.stop)
    write_json(record.folder / "report.json", found)
    if has_images(str(found["kind"])):
        job.progress.part(0.1, "making pictures")
        write_pictures(record.folder, source, found, listing, overwrite=True)
    return {"images": found["images"]}


def write_pictures(
    folder: Path, source: Source, found: dict[str, Any], listing: Listing, overwrite: bool = False
) -> list[str]:
    """What dry_run found, as pictures in `folder`; their names: sheet-0.png and mean-0.png for the first group and so on,
    and align-0.png where faces would be aligned. Raises FairLabError when the folder cannot be written, Refused for a
    picture that is there unless `overwrite`.
    """
    view = view_of(source, found, listing)
    names = []

    def write(name: str, picture: np.ndarray) -> None:
        write_bytes(not_there(folder / name, overwrite), png(picture))
        names.append(name)

    for number, (sheet, mean) in enumerate(group_pictures(view, listing.images)):
        write(f"sheet-{number}.png", sheet)
        write(f"mean-{number}.png", mean)
    if view.landmarks is not None:
        for number, strip in enumerate(alignment_strips(view, listing.images)):
            write(f"align-{number}.png", strip)
    return names


def view_of(source: Source, found: dict[str, Any], listing: Listing) -> EncodedPixels:
    """The listed images as they would be handed out, by the report `found`."""
    points = listing.landmarks if found["aligned"] == "by landmarks" else None
    return place_of(source).view(listing.images, points)


def dry_run(
    source: Source,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, Any], Listing]:
    """(report, listing) of data that are not added yet; decodes at most SAMPLE images. Raises FairLabError, Stopped."""
    place = place_of(source)
    listing = place.listing(progress, stop)
    if not has_images(place.kind):
        return report(place.kind, place.why, source, listing, _unseen(listing).iloc[:0]), listing
    read, name = place.access(listing.images)
    rows, tables = sample(len(listing.images), SAMPLE), []
    rows = np.union1d(rows, np.asarray(listing.doubtful[:SAMPLE], dtype=rows.dtype))
    for table in look_at(rows, read, name):
        if stop():
            raise Stopped
        tables.append(table)
        progress(sum(map(len, tables)), len(rows))
    looked = pd.concat(tables, ignore_index=True) if tables else LOOKED_AT.build()
    listing = _with_faces(source, listing, looked)
    return report(place.kind, place.why, source, _with_failures(source, listing, looked), looked), listing


def _with_faces(source: Source, listing: Listing, looked: pd.DataFrame) -> Listing:
    """Where faces are aligned by landmarks: the listing without those that are no face's. Raises FairLabError when all
    images of templates lack them.
    """
    if aligned(source, listing, looked[looked["readable"].to_numpy(bool)]) != "by landmarks":
        return listing
    listing = judged(listing, looked)
    if listing.landmarks is None and listing.templates is not None:
        reasons = "; ".join(listing.without["reasons"])
        raise FairLabError(
            f"no image of {source.path} has the landmarks of a face ({reasons}); expected x and y of two eyes, nose "
            f"and two mouth corners, in pixels; if the images are aligned, set align to false"
        )
    return listing


def _with_failures(source: Source, listing: Listing, looked: pd.DataFrame) -> Listing:
    """The listing for a report: with the failures to enrol that only looking at the images shows."""
    good = _good(source, listing, looked)
    splits = splits_of(source, listing)[good].to_numpy(dtype=object)
    return replace(listing, unenrolled=_left(listing, good, splits)[2])


def _good(source: Source, listing: Listing, looked: pd.DataFrame) -> np.ndarray:
    """(N,) bool: which images become part of the data set. One that was not looked at does."""
    good = np.ones(len(listing.images), bool)
    good[looked["row"].to_numpy(np.int64)] = looked["readable"].to_numpy(bool)
    how = aligned(source, listing, looked[looked["readable"].to_numpy(bool)])
    if how == "by landmarks" and listing.templates is not None and listing.landmarks is not None:
        good &= np.isfinite(listing.landmarks).all(axis=(1, 2))  # a template goes on with its other images
    return good


def place_of(source: Source) -> Place:
    """Where the data of a source lie. Raises FairLabError when nothing is there, or nothing that a reader knows."""
    path = Path(source.path).expanduser().absolute()
    if not source.path:
        raise FairLabError("name the file or folder to add")
    for name in filter(None, (source.path, source.groups_table, source.pair_list)):
        ordinary(Path(name).expanduser().absolute())
    if source.kind:
        if not path.exists():
            raise FairLabError(f"{path} does not exist; check the path")
        reader(source.kind)
        kind, why = source.kind, "as specified"
    else:
        kind, why = detect_kind(path)
    if source.identity_pattern and not READERS.facts(kind).get("names"):
        raise FairLabError(
            f"identity_pattern applies to image files, but {path} is of the kind {kind} ({why}): leave it empty"
        )
    return Place(source, path, kind, why)


def add(job: Job) -> dict[str, Any]:
    """Register the data of a run's `source` as its data set; goes on where an earlier attempt stopped."""
    record = job.record
    source = record.config.source
    assert source is not None
    folder = job.workspace.dataset(record.dataset)
    if not (folder / "manifest.json").exists():
        progress = job.progress.between(0.0, 0.1, "listing")
        place = place_of(source)
        files = _files(source)  # before the listing: what changes meanwhile is noticed later
        listing = place.listing(progress.advance, job.stop)
        with_images = has_images(place.kind)
        looked = _look(job.between(0.1, 0.9), place, listing, files) if with_images else _unseen(listing)
        write_atomic(record.folder / FILES, partial(files.to_parquet, index=False))
        shown = looked if with_images else looked.iloc[:0]
        listing = _with_faces(source, listing, looked) if with_images else listing
        told = _with_failures(source, listing, looked) if with_images else listing
        write_json(record.folder / "report.json", report(place.kind, place.why, source, told, shown))
        _write(job.between(0.9, 1.0), place, listing, looked)
    dataset = open_dataset(folder, verify=True)
    return {"images": len(dataset.images), "fingerprint": dataset.fingerprint}


def _unseen(listing: Listing) -> pd.DataFrame:
    """checking's table for data without images: nothing to decode, so nothing that could not be."""
    nothing = {"readable": True, "width": 0, "height": 0, "mode": "", "hash": 0, "bytes": 0, "fault": ""}
    return LOOKED_AT.of({"row": np.arange(len(listing.images)), **nothing})


def changed_since(record: RunRecord) -> str:
    """How the files of added data differ from those that were added, as half a sentence; "" when they are the same.

    Looks at names, sizes and times only; some seconds for a million files.
    """
    source = record.config.source
    if source is None or not (record.folder / FILES).exists():
        return ""
    return difference(pd.read_parquet(record.folder / FILES), _files(source))


def _files(source: Source) -> pd.DataFrame:
    """The files that adding these data would read (data.changes.SEEN)."""
    others = [Path(name).expanduser().absolute() for name in (source.groups_table, source.pair_list) if name]
    return seen(Path(source.path).expanduser().absolute(), others)


def _look(job: Job, place: Place, listing: Listing, files: pd.DataFrame) -> pd.DataFrame:
    """Every image decoded once: checking's table; what an earlier attempt saw of the same files is kept in "looked"."""
    folder = job.record.folder / "looked"
    read, name = place.access(listing.images)
    count = len(listing.images)
    content = [pd.util.hash_pandas_object(table, index=False) for table in (listing.images["location"], files)]
    listed = digest([column.to_numpy().tobytes().hex() for column in content])
    if (folder / "listed.json").exists() and read_json(folder / "listed.json", str) != listed:
        for old in folder.glob("*.parquet"):  # other files than last time
            old.unlink()
    write_json(folder / "listed.json", listed)
    tables = [pd.read_parquet(part) for part in sorted(folder.glob("*.parquet"))]
    done = sum(map(len, tables))
    job.progress.begin("looking at images")
    began, before = time.monotonic(), done
    for table in look_at(np.arange(done, count), read, name):
        write_atomic(folder / f"{done:010d}.parquet", partial(table.to_parquet, index=False))
        tables.append(table)
        done += len(table)
        job.progress.advance(done, count, (done - before) / max(time.monotonic() - began, 1e-9))
        job.go_on()
    return pd.concat(tables, ignore_index=True)


def _write(job: Job, place: Place, listing: Listing, looked: pd.DataFrame) -> Dataset:
    """The data set without the images that cannot be read."""
    name, source, path, kind = job.record.dataset, place.source, place.path, place.kind
    folder = job.workspace.dataset(name)
    good = looked["readable"].to_numpy(bool)
    if not good.any():
        raise FairLabError(f"no image of {path} can be read, e.g. {looked['fault'].iloc[0]}")
    how = aligned(source, listing, looked[good]) if has_images(kind) else "no images"
    good = _good(source, listing, looked) if has_images(kind) else good
    images = listing.images[good].reset_index(drop=True)
    images = images.assign(image_id=np.arange(len(images)), dataset=name, source=source.source)
    images["split"] = splits_of(source, listing)[good].reset_index(drop=True)
    for column in ("dataset", "split", "source", "identity", "group"):
        images[column] = images[column].astype("category")  # five million names as numbers
    landmarks = listing.landmarks[good] if how == "by landmarks" and listing.landmarks is not None else None
    origin = {"kind": kind, "path": str(path), "swap_channels": source.swap_channels}
    hashes, sizes = looked["hash"].to_numpy(np.int64)[good], looked["bytes"].to_numpy(np.int64)[good]
    pixels: Elsewhere | Path | None = Elsewhere(origin, source.image_px, hashes, landmarks, sizes)
    if not has_images(kind):
        pixels = None
    elif source.copy_pixels:
        pixels = _decode_all(job, folder, place.view(images, landmarks))
    templates, pairs, unenrolled = _left(listing, good, images["split"].to_numpy(dtype=object))
    facts = {
        "alignment": RULE if landmarks is not None else None,
        "without_landmarks": listing.without,
        "failures_to_enrol": unenrolled,
    }
    return write_dataset(
        folder,
        NewDataset(
            dataset_id=name,
            kind=kind,
            attribute=listing.attribute,
            groups=tuple(dict.fromkeys(images["group"])),
            images=images,
            pairs=pairs,
            pixels=pixels,
            recipe=source.model_dump(mode="json"),
            notes="; ".join([f"{path}: {how}", *listing.notes]),
            templates=templates,
            facts={name: fact for name, fact in facts.items() if fact},
            points=_points(source, listing, looked, good, landmarks) if has_images(kind) else None,
        ),
        expected=source.fingerprint,
    )


def _points(
    source: Source, listing: Listing, looked: pd.DataFrame, good: np.ndarray, landmarks: np.ndarray | None
) -> np.ndarray | None:
    """What data.points keeps of images that are not aligned when they are read; None where nothing is known of them."""
    if listing.landmarks is None or (landmarks is not None and not source.copy_pixels):
        return None
    if landmarks is not None:
        return points_of_crops(landmarks, source.image_px)
    sizes = looked.loc[good, ["width", "height"]].to_numpy(np.int64)
    return in_the_middle(listing.landmarks[good], sizes, source.image_px)


def _left(
    listing: Listing, good: np.ndarray, splits: np.ndarray
) -> tuple[pd.DataFrame | None, pd.DataFrame, dict[str, Any]]:
    """(tables.TEMPLATES and tables.PAIRS of the images that are left, what could not be enrolled as data.enrolment counts).

    A template that loses its first image is named by the next. The pairs of what is not left are lost; pairs of two
    images of the part validation, by `splits` of the images that are left, choose models.
    """
    if listing.pairs is None:
        return None, PAIRS.build(), {}
    pairs, templates, stands = listing.pairs, listing.templates, np.arange(len(good))
    names, why, there = listing.images["location"].astype(str), "cannot be read", good
    if templates is not None:
        kept = templates[good[templates["image_id"]] & (templates["weight"] > 0)]
        enrolled = templates["template"].isin(kept["template"])
        kept = templates[good[templates["image_id"]] & enrolled]
        first = kept.groupby("template")["image_id"].min()
        stands[first.index] = first.to_numpy()
        there = np.zeros(len(good), bool)
        there[stands[first.index]] = True
        names, why = (
            templates.drop_duplicates("template").set_index("template")["name"],
            "none of its images has a face",
        )
        templates = kept.assign(template=stands[kept["template"]])
    before = np.unique(pairs[["image_a", "image_b"]].to_numpy())
    failed = before[~there[stands[before]]]
    pairs = pairs.assign(**{side: stands[pairs[side]] for side in ("image_a", "image_b")})
    stays = there[pairs["image_a"]] & there[pairs["image_b"]]
    what = "images of pairs" if templates is None else "templates"
    of = len(before) if listing.templates is None else listing.templates["template"].nunique()
    lost = failures(what, of, {str(names[row]): why for row in failed.tolist()}, pairs[~stays])
    new = np.cumsum(good) - 1
    pairs = pairs[stays].reset_index(drop=True)
    a, b = new[pairs["image_a"]], new[pairs["image_b"]]
    protocol = np.where((splits[a] == "validation") & (splits[b] == "validation"), "validation", "test")
    pairs = pairs.assign(pair_id=np.arange(len(pairs)), protocol=protocol, image_a=a, image_b=b)
    if templates is not None:
        templates = templates.assign(template=new[templates["template"]], image_id=new[templates["image_id"]])
        templates = templates.reset_index(drop=True)
    return templates, pairs, joined(listing.unenrolled, lost)


def _decode_all(job: Job, folder: Path, view: EncodedPixels) -> Path:
    """All images decoded into one .npy file beside `folder`."""
    job.progress.begin("decoding images")
    make_folder(folder.parent)
    path = beside(folder.with_name(f"{folder.name}.pixels"))
    try:
        target = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=view.shape)
        reserve(path)
        for start in range(0, len(view), 512):
            job.go_on()
            target[start : start + 512] = view[start : start + 512]
            job.progress.advance(start, len(view))
        target.flush()
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FairLabError(explain(error, path)) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path
