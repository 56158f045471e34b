"""The job that looks for people and images of a test set in a training set: by name, by pixels, by nearest embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.inspect import duplicates
from fairlab.data.inspect.identity_names import compare_names
from fairlab.data.inspect.verdicts import write_verdict
from fairlab.data.views import encoded
from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, write_atomic, write_json
from fairlab.jobs.job import Job
from fairlab.machine.temporaries import sweep
from fairlab.settings.study import Overlap
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.index import index_over, open_index
from fairlab.store.runs import read_run
from fairlab.tables import NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import now

CHUNK, SAMPLE = 2000, 4000
EXAMPLES = 50
"""Kept in the verdict; all are in the run's matches.parquet."""
MATCHES = Table(test_image=WHOLE, train_image=WHOLE, why=TEXT, score=NUMBER)
"""A row is a test image that is in the training, or looks so. why: name, file, picture or nearest; train_image: -1 for
a name, whose images are all of the person's."""
ORIGINS = Table(root=TEXT, kind=TEXT, name=TEXT)
NAMELESS = ("packs",)
"""Kinds of data whose names only number people."""
SIDES = ("train", "test")
Rows = tuple[np.ndarray, np.ndarray]
"""Of training and test set: which images are compared."""


@dataclass(frozen=True)
class Sides:
    """What is compared: the images `rows` of two data sets, the training set first."""

    data: tuple[Dataset, Dataset]
    rows: Rows
    splits: tuple[tuple[str, ...], tuple[str, ...]]

    def __iter__(self) -> Iterator[tuple[Dataset, np.ndarray]]:
        """Each data set with its rows."""
        return zip(self.data, self.rows, strict=True)

    def facts(self) -> dict[str, Any]:
        """What the verdict says about each."""
        return {
            name: {
                "dataset": data.dataset_id,
                "fingerprint": data.fingerprint,
                "splits": list(splits),
                "images": len(rows),
                "identities": int(data.images["identity"].iloc[rows].nunique()),
            }
            for name, (data, rows), splits in zip(SIDES, self, self.splits, strict=True)
        }


def check(job: Job) -> dict[str, Any]:
    """Carry out a run's `overlap` and keep the verdict; goes on where an earlier attempt stopped."""
    record, settings = job.record, job.record.config.overlap
    assert settings is not None
    sweep(job.workspace.datasets_folder)
    train, test = (open_dataset(job.workspace.dataset(name)) for name in (settings.train, settings.test))
    sides = Sides((train, test), *parts_of(settings, train, test))
    names = shared_people(train, test, sides.rows)
    matches, images = _images(job.between(0.0, 0.9), settings, sides)
    tables, neighbours = [names.pop("table"), matches], None
    if settings.model:
        nearest, neighbours = _nearest(job.between(0.9, 1.0), settings, sides)
        tables.append(nearest)
    every = pd.concat(tables, ignore_index=True)
    write_atomic(record.folder / "matches.parquet", partial(every.to_parquet, index=False))
    facts = {
        **sides.facts(),
        "settings": settings.model_dump(mode="json"),
        "names": names,
        "images": images,
        "neighbours": neighbours,
        "created_at": now(),
        "run_id": record.run_id,
    }
    write_verdict(job.workspace, facts)
    return {"shared_names": names["shared"], "same_images": images["same"]}


def parts_of(
    settings: Overlap, train: Dataset, test: Dataset
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[tuple[str, ...], tuple[str, ...]]]:
    """(rows, parts) of train and test, as the settings say or as their sentences promise.

    Raises FairLabError for a part that does not exist, or that would be compared with itself.
    """
    known = [list(dict.fromkeys(data.images["split"])) for data in (train, test)]
    ours = settings.train_splits or (("train",) if "train" in known[0] else tuple(known[0]))
    theirs = settings.test_splits
    if not theirs:
        used = np.unique(test.pairs[["image_a", "image_b"]].to_numpy(np.int64))
        free = [split for split in known[1] if train.dataset_id != test.dataset_id or split not in ours]
        judged = set(test.images["split"].iloc[used]) if len(used) else set(free)
        theirs = tuple(split for split in free if split in judged)
    for data, splits, have in ((train, ours, known[0]), (test, theirs, known[1])):
        for split in splits:
            if split not in have:
                raise FairLabError(f"data set {data.dataset_id} has no part {split!r}; it has: {', '.join(have)}")
    both = sorted(set(ours) & set(theirs))
    if train.dataset_id == test.dataset_id and (both or not theirs):
        part = both[0] if both else ", ".join(ours)
        raise FairLabError(
            f"part {part!r} of data set {train.dataset_id} would be compared with itself; name different parts"
        )
    rows = tuple(
        np.flatnonzero(data.images["split"].isin(splits).to_numpy()) for data, splits in ((train, ours), (test, theirs))
    )
    return (rows[0], rows[1]), (ours, theirs)


def origins(data: Dataset) -> pd.DataFrame:
    """Whose an image is at the root of all recipes: root (hash of its pixels), kind, name; a row per image."""
    lenders = data.parents()
    if not lenders:
        return ORIGINS.of(
            {
                "root": str(data.info.get("seen", data.fingerprint)),
                "kind": str(data.info.get("kind", "")),
                "name": data.images["identity"].astype(object).to_numpy(),
            }
        )
    parent, row = data.borrowed()
    tables = [origins(lender) for lender in lenders]
    found = pd.concat([tables[number].iloc[row[parent == number]] for number in range(len(lenders))])
    place = np.concatenate([np.flatnonzero(parent == number) for number in range(len(lenders))])
    return found.set_axis(place).sort_index()


def shared_people(train: Dataset, test: Dataset, rows: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Counts and examples of people in both by name, and `table` of the test's images of them."""
    ours, theirs = (origins(data).iloc[of] for data, of in ((test, rows[1]), (train, rows[0])))
    shown = test.images["identity"].astype(object).iloc[rows[1]].to_numpy()
    told: set[str] = set()
    shared: dict[str, str] = {}
    same = ours["root"].isin(set(theirs["root"])).to_numpy()
    for root in set(ours.loc[same, "root"]):  # one data set's names mean the same whatever they look like
        mine, known = ours["root"] == root, set(theirs.loc[theirs["root"] == root, "name"])
        told |= set(shown[mine])
        shared |= {who: name for who, name in zip(shown[mine], ours.loc[mine, "name"], strict=True) if name in known}
    speaks = (~ours["kind"].isin(NAMELESS)).to_numpy()
    theirs = theirs[~theirs["kind"].isin(NAMELESS)]
    by_name = compare_names(theirs["name"].unique().tolist(), ours.loc[speaks, "name"].unique().tolist())
    original = dict(zip(shown[speaks], ours.loc[speaks, "name"], strict=True))
    told |= {who for who, name in original.items() if name in by_name.comparable}
    shared = {who: by_name.shared[name] for who, name in original.items() if name in by_name.shared} | shared
    hit = pd.Series(shown).isin(set(shared)).to_numpy()
    table = MATCHES.of({"test_image": rows[1][hit], "train_image": -1, "why": "name", "score": np.nan})
    return {
        "people": len(set(shown)),
        "comparable": len(told),
        "shared": len(shared),
        "images": int(hit.sum()),
        "examples": [[str(who), str(shared[who])] for who in sorted(shared)[:EXAMPLES]],
        "table": table,
    }


def _images(job: Job, settings: Overlap, sides: Sides) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(matches, counts and examples) of test images that are in the training too, as a file or as a picture."""
    unseen = [data.dataset_id for data in sides.data if not data.has_images]
    if unseen:  # tables of names and pairs
        none = {"same": 0, "exact": 0, "candidates": 0, "files_known": False, "examples": []}
        return MATCHES.build(), {**none, "without_images": unseen[0]}
    common, seen = _seen(job.between(0.0, 0.8 / 0.9), sides)
    comparing = job.progress.between(0.8 / 0.9, 1.0, "comparing images", "steps")

    def look(done: int, of: int) -> None:
        job.go_on()
        comparing.advance(done, of)

    test_at, train_at = duplicates.candidates(seen[0]["picture"], seen[1]["picture"], look)
    scores = np.empty(len(test_at))
    for start in range(0, len(test_at), CHUNK):
        look(start, len(test_at))
        at = slice(start, start + CHUNK)
        one, two = (
            duplicates.thumbnails(_read(data, rows[places[at]]))
            for (data, rows), places in zip(sides, (train_at, test_at), strict=True)
        )
        scores[at] = duplicates.likeness(one, two, common)
    alike = scores >= settings.likeness
    exact_test, exact_train = _equal_files(seen[0]["file"], seen[1]["file"])
    found = MATCHES.of(
        {
            "test_image": sides.rows[1][np.concatenate([exact_test, test_at[alike]])],
            "train_image": sides.rows[0][np.concatenate([exact_train, train_at[alike]])],
            "why": ["file"] * len(exact_test) + ["picture"] * int(alike.sum()),
            "score": np.concatenate([np.ones(len(exact_test)), scores[alike]]),
        }
    ).drop_duplicates(["test_image", "train_image"])
    best = found.sort_values(["score", "test_image"], ascending=[False, True]).drop_duplicates("test_image")
    counts = {
        "same": int(found["test_image"].nunique()),
        "exact": int(found.loc[found["why"] == "file", "test_image"].nunique()),
        "candidates": len(test_at),
        "files_known": bool((seen[0]["file"] != 0).any() and (seen[1]["file"] != 0).any()),
        "examples": _examples(best),
    }
    return found, counts


def _examples(matches: pd.DataFrame) -> list[list[Any]]:
    """The first rows of MATCHES as (test image, training image, score)."""
    return [
        [int(item.test_image), int(item.train_image), float(item.score)] for item in matches.head(EXAMPLES).itertuples()
    ]


def _seen(job: Job, sides: Sides) -> tuple[duplicates.Reference, list[np.ndarray]]:
    """(what all images have in common, what _look keeps of training and test images)."""
    folder = job.record.folder / "seen"
    stamp = digest([[data.fingerprint for data in sides.data], [digest(rows.tobytes().hex()) for rows in sides.rows]])
    if not (folder / "stamp.json").exists() or read_json(folder / "stamp.json", str) != stamp:
        for old in folder.glob("*.npy"):  # of other data
            old.unlink()
    write_json(folder / "stamp.json", stamp)
    job.progress.part(1 / 16, "what the images have in common")
    some = [duplicates.thumbnails(_read(data, rows[_spread(len(rows), SAMPLE // 2)])) for data, rows in sides]
    common = duplicates.reference(np.concatenate(some))
    total, seen = sum(map(len, sides.rows)), []
    for number, name in enumerate(SIDES):
        part = job.part(15 / 16 * len(sides.rows[number]) / total)
        part.progress.begin(f"looking at the {name} images")
        seen.append(_look(part, sides, number, common))
    return common, seen


def _spread(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _read(data: Dataset, rows: np.ndarray) -> np.ndarray:
    return np.asarray(data.pixels[rows])


def _look(job: Job, sides: Sides, number: int, common: duplicates.Reference) -> np.ndarray:
    """(N,) of file and picture: hashes of every image of one side; chunks that an earlier attempt saw are kept in "seen"."""
    data, rows = sides.data[number], sides.rows[number]
    kind = np.dtype([("file", np.int64), ("picture", np.uint64)])
    chunks = [np.zeros(0, kind)]
    for start in range(0, len(rows), CHUNK):
        path = job.record.folder / "seen" / f"{SIDES[number]}-{start:010d}.npy"
        if path.exists():
            chunks.append(np.load(path, allow_pickle=False))
            continue
        job.go_on()
        part = rows[start : start + CHUNK]
        chunk = np.empty(len(part), kind)
        chunk["picture"] = duplicates.hashes(duplicates.thumbnails(_read(data, part)), common)
        chunk["file"] = [_file_hash(data, int(row)) for row in part]
        write_atomic(path, partial(_save, chunk))
        chunks.append(chunk)
        job.progress.advance(start + len(part), len(rows))
    return np.concatenate(chunks)


def _save(chunk: np.ndarray, path: Path) -> None:
    with open(path, "wb") as handle:
        np.save(handle, chunk)


def _file_hash(data: Dataset, row: int) -> int:
    """64 bits of the BLAKE2b of an image's file; 0 where there is none."""
    content = encoded(data.pixels, row)
    if content is None:
        return 0
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def _equal_files(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places in `test`, a place in `train`) of equal hashes other than 0."""
    values, first = np.unique(train, return_index=True)
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(values, test), len(values) - 1)
    hit = np.flatnonzero((values[at] == test) & (test != 0))
    return hit, first[at[hit]]


def _nearest(job: Job, settings: Overlap, sides: Sides) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(candidates, facts): test images whose nearest training image is nearer than strangers of the test set come.

    The threshold is the cosine that a share `chance` of test images reach with their nearest image of another person of
    the test set. Among the (more, or fewer) training images, about chance x train / test of them would do so too if
    nobody were in both.
    """
    job.progress.begin("nearest faces")
    spaces = _spaces(job, settings.model, sides)
    train, test = sides.rows
    vectors = [space.vectors[space.rows_of(rows)] for space, rows in zip(spaces, sides.rows, strict=True)]
    among = open_index(spaces[0]) if len(train) == len(spaces[0].ids) else index_over(train, vectors[0])
    people = sides.data[1].images["identity"].astype(object).to_numpy()
    each = int(pd.Series(people[test]).value_counts().iloc[0])
    strangers = index_over(test, vectors[1])
    depth = min(each + 1, 100)
    score, nearest, chance = np.empty(len(test)), np.empty(len(test), np.int64), np.empty(len(test))
    for start in range(0, len(test), CHUNK):
        job.go_on()
        at = slice(start, start + CHUNK)
        cosines, ids = among.search(vectors[1][at], 1)
        score[at], nearest[at] = cosines[:, 0], ids[:, 0]
        cosines, ids = strangers.search(vectors[1][at], depth)
        other = (people[ids] != people[test[at]][:, None]) & (ids >= 0)
        place = np.where(other.any(axis=1), other.argmax(axis=1), cosines.shape[1] - 1)
        chance[at] = cosines[np.arange(len(cosines)), place]
        job.progress.advance(start, len(test))
    threshold = float(np.quantile(chance, 1 - settings.chance, method="higher"))
    flagged = np.flatnonzero(score > threshold)
    flagged = flagged[np.argsort(-score[flagged], kind="stable")]
    table = MATCHES.of(
        {"test_image": test[flagged], "train_image": nearest[flagged], "why": "nearest", "score": score[flagged]}
    )
    facts = {
        "model": settings.model,
        "threshold": threshold,
        "chance": settings.chance,
        "expected": len(test) * min(1.0, settings.chance * len(train) / max(len(test) - each, 1)),
        "flagged": len(flagged),
        "index": among.kind,
        "recall": among.recall,
        "examples": _examples(table),
    }
    return table, facts


def _spaces(job: Job, model: str, sides: Sides) -> list[Embeddings]:
    """A model's embeddings of both data sets. Raises FairLabError for embeddings of an earlier state of one."""
    run = read_run(job.workspace, model)
    spaces = [open_embeddings(run.folder, data.dataset_id, "plain") for data in sides.data]
    for space, data in zip(spaces, sides.data, strict=True):
        if space.facts.get("fingerprint") != data.fingerprint:
            raise FairLabError(
                f"the embeddings of {data.dataset_id} in {model} are of different data: "
                f"embed it again with `fairlab models embed {model} {data.dataset_id}`"
            )
    return spaces
