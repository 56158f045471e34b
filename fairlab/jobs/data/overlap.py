"""The job that looks for people and images of a test set in a training set: by name, by pixels, by nearest embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.inspect import duplicates
from fairlab.data.inspect.identity_names import compare_names
from fairlab.data.inspect.verdicts import write_verdict
from fairlab.data.views import encoded
from fairlab.errors import FairLabError, Stopped
from fairlab.files import digest, read_json, write_atomic, write_json
from fairlab.settings.study import Overlap
from fairlab.store.embeddings import open_embeddings
from fairlab.store.index import index_over, open_index
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import Workspace, now

CHUNK, SAMPLE = 2000, 4000
EXAMPLES = 50
"""Kept in the verdict; all are in the run's matches.parquet."""
MATCHES = Table(test_image=WHOLE, train_image=WHOLE, why=TEXT, score=NUMBER)
"""A row is a test image that is in the training, or looks so. why: name, file, picture or nearest; train_image: -1 for
a name, whose images are all of the person's."""
ORIGINS = Table(root=TEXT, kind=TEXT, name=TEXT)
NAMELESS = ("packs",)
"""Kinds of data whose names only number people."""
Stop = Callable[[], bool]


class Pulse(Protocol):
    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def check(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """Carry out a run's `overlap` and keep the verdict; goes on where an earlier attempt stopped."""
    settings = record.config.overlap
    assert settings is not None
    train, test = (open_dataset(workspace.dataset(name)) for name in (settings.train, settings.test))
    rows, splits = parts_of(settings, train, test)
    names = _names(train, test, rows)
    matches, images = _images(record.folder / "seen", settings, (train, test), rows, pulse, stop)
    tables, neighbours = [names.pop("table"), matches], None
    if settings.model:
        pulse.begin("nearest faces", 0.9, 0.1)
        near, neighbours = _nearest(workspace, settings, (train, test), rows, pulse, stop)
        tables.append(near)
    every = pd.concat(tables, ignore_index=True)
    write_atomic(record.folder / "matches.parquet", partial(every.to_parquet, index=False))
    sides = {
        side: {
            "dataset": data.dataset_id,
            "fingerprint": data.fingerprint,
            "splits": list(splits[number]),
            "images": len(rows[number]),
            "identities": int(data.images["identity"].iloc[rows[number]].nunique()),
        }
        for number, (side, data) in enumerate((("train", train), ("test", test)))
    }
    facts = {
        **sides,
        "settings": settings.model_dump(mode="json"),
        "names": names,
        "images": images,
        "neighbours": neighbours,
        "created_at": now(),
        "run_id": record.run_id,
    }
    write_verdict(workspace, facts)
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
            f"part {part!r} of data set {train.dataset_id} would be compared with itself; name other parts"
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


def _names(train: Dataset, test: Dataset, rows: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
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


def _images(
    folder: Path,
    settings: Overlap,
    data: tuple[Dataset, Dataset],
    rows: tuple[np.ndarray, np.ndarray],
    pulse: Pulse,
    stop: Stop,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(matches, counts and examples) of test images that are in the training too, as a file or as a picture."""
    unseen = [side.dataset_id for side in data if not side.has_images]
    if unseen:  # tables of names and pairs
        none = {"same": 0, "exact": 0, "candidates": 0, "files_known": False, "examples": []}
        return MATCHES.build(), {**none, "without_images": unseen[0]}
    stamp = digest([[side.fingerprint for side in data], [digest(of.tobytes().hex()) for of in rows]])
    if not (folder / "stamp.json").exists() or read_json(folder / "stamp.json", str) != stamp:
        for old in folder.glob("*.npy"):  # of other data
            old.unlink()
    write_json(folder / "stamp.json", stamp)
    pulse.begin("what the images have in common", 0.0, 0.05)
    some = [
        duplicates.thumbnails(_read(side, of[_spread(len(of), SAMPLE // 2)]))
        for side, of in zip(data, rows, strict=True)
    ]
    common = duplicates.reference(np.concatenate(some))
    seen, base, total = [], 0.05, sum(map(len, rows))
    for name, side, of in zip(("train", "test"), data, rows, strict=True):
        pulse.begin(f"looking at the {name} images", base, 0.75 * len(of) / total)
        seen.append(_look(folder, name, side, of, common, pulse, stop))
        base += 0.75 * len(of) / total

    def look(done: int, of: int) -> None:
        if stop():
            raise Stopped
        pulse.advance(done, of)

    pulse.begin("comparing images", 0.8, 0.1, "steps")
    test_at, train_at = duplicates.candidates(seen[0]["picture"], seen[1]["picture"], look)
    scores = np.empty(len(test_at))
    for start in range(0, len(test_at), CHUNK):
        look(start, len(test_at))
        at = slice(start, start + CHUNK)
        one, two = (
            duplicates.thumbnails(_read(side, of[places[at]]))
            for side, of, places in zip(data, rows, (train_at, test_at), strict=True)
        )
        scores[at] = duplicates.likeness(one, two, common)
    alike = scores >= settings.likeness
    exact_test, exact_train = _equal_files(seen[0]["file"], seen[1]["file"])
    found = MATCHES.of(
        {
            "test_image": rows[1][np.concatenate([exact_test, test_at[alike]])],
            "train_image": rows[0][np.concatenate([exact_train, train_at[alike]])],
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
        "examples": [
            [int(item.test_image), int(item.train_image), float(item.score)]
            for item in best.head(EXAMPLES).itertuples()
        ],
    }
    return found, counts


def _spread(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _read(data: Dataset, rows: np.ndarray) -> np.ndarray:
    return np.asarray(data.pixels[rows])


def _look(
    folder: Path, name: str, data: Dataset, rows: np.ndarray, common: duplicates.Reference, pulse: Pulse, stop: Stop
) -> np.ndarray:
    """(N,) of file and picture: hashes of every image; chunks that an earlier attempt saw are kept in `folder`."""
    kind = np.dtype([("file", np.int64), ("picture", np.uint64)])
    chunks = [np.zeros(0, kind)]
    for start in range(0, len(rows), CHUNK):
        path = folder / f"{name}-{start:010d}.npy"
        if path.exists():
            chunks.append(np.load(path, allow_pickle=False))
            continue
        if stop():
            raise Stopped
        part = rows[start : start + CHUNK]
        chunk = np.empty(len(part), kind)
        chunk["picture"] = duplicates.hashes(duplicates.thumbnails(_read(data, part)), common)
        chunk["file"] = [_file_hash(data, int(row)) for row in part]
        write_atomic(path, partial(_save, chunk))
        chunks.append(chunk)
        pulse.advance(start + len(part), len(rows))
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


def _nearest(
    workspace: Workspace,
    settings: Overlap,
    data: tuple[Dataset, Dataset],
    rows: tuple[np.ndarray, np.ndarray],
    pulse: Pulse,
    stop: Stop,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(candidates, facts): test images whose nearest training image is nearer than strangers of the test set come.

    The threshold is the cosine that a share `chance` of test images reach with their nearest image of another person of
    the test set. Among the (more, or fewer) training images, about chance x train / test of them would do so too if
    nobody were in both.
    """
    run = read_run(workspace, settings.model)
    spaces = [open_embeddings(run.folder, side.dataset_id, "plain") for side in data]
    for space, side in zip(spaces, data, strict=True):
        if space.facts.get("fingerprint") != side.fingerprint:
            raise FairLabError(
                f"the embeddings of {side.dataset_id} in {settings.model} are of other data: "
                f"embed it again with `fairlab models embed {settings.model} {side.dataset_id}`"
            )
    vectors = [space.vectors[space.rows_of(of)] for space, of in zip(spaces, rows, strict=True)]
    whole = len(rows[0]) == len(spaces[0].ids)
    among = open_index(spaces[0]) if whole else index_over(rows[0], vectors[0])
    people = data[1].images["identity"].astype(object).to_numpy()
    each = int(pd.Series(people[rows[1]]).value_counts().iloc[0])
    strangers = index_over(rows[1], vectors[1])
    depth = min(each + 1, 100)
    score, nearest, chance = np.empty(len(rows[1])), np.empty(len(rows[1]), np.int64), np.empty(len(rows[1]))
    for start in range(0, len(rows[1]), CHUNK):
        if stop():
            raise Stopped
        at = slice(start, start + CHUNK)
        cosines, ids = among.search(vectors[1][at], 1)
        score[at], nearest[at] = cosines[:, 0], ids[:, 0]
        cosines, ids = strangers.search(vectors[1][at], depth)
        other = (people[ids] != people[rows[1][at]][:, None]) & (ids >= 0)
        place = np.where(other.any(axis=1), other.argmax(axis=1), cosines.shape[1] - 1)
        chance[at] = cosines[np.arange(len(cosines)), place]
        pulse.advance(start, len(rows[1]))
    threshold = float(np.quantile(chance, 1 - settings.chance, method="higher"))
    expected = len(rows[1]) * min(1.0, settings.chance * len(rows[0]) / max(len(rows[1]) - each, 1))
    flagged = np.flatnonzero(score > threshold)
    flagged = flagged[np.argsort(-score[flagged], kind="stable")]
    table = MATCHES.of(
        {
            "test_image": rows[1][flagged],
            "train_image": nearest[flagged],
            "why": "nearest",
            "score": score[flagged],
        }
    )
    facts = {
        "model": settings.model,
        "threshold": threshold,
        "chance": settings.chance,
        "expected": expected,
        "flagged": len(flagged),
        "index": among.kind,
        "recall": among.recall,
        "examples": [
            [int(item.test_image), int(item.train_image), float(item.score)]
            for item in table.head(EXAMPLES).itertuples()
        ],
    }
    return table, facts
