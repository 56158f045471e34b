"""A model that came from a file, tried on generated faces: is its record of sizes, colours and scaling plausible?

A wrong channel order or scaling costs accuracy without any error. Generated faces are no benchmark, but the same
network on the same faces shows which reading of the pixels it was trained on. What is said is said beyond chance only.
All numbers are at one threshold for all faces, chosen on other folds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from fairlab.data.dataset import Dataset
from fairlab.data.points import points_of
from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation.intervals import clopper_pearson
from fairlab.evaluation.paired import PairedComparison
from fairlab.evaluation.scores import pair_scores
from fairlab.evaluation.verification import fold_accuracy
from fairlab.models.preprocessing import Preprocessing
from fairlab.settings.study import DemoData, Evaluation
from fairlab.tables import ALL_GROUPS
from fairlab.training.extract import View, embed
from fairlab.training.loader import ImageInputs

VERSION = 2
"""Of what is tried; a trial of another version is not shown for this one."""
SECONDS = 12.0
"""A trial takes about as long: a large network sees fewer faces."""
_TIMED, _FEWEST = 4, 16
SCALINGS = (("-1..1", 127.5, 127.5), ("0..1", 0.0, 255.0), ("0..255", 0.0, 1.0))
_ALL = "everyone"
Progress = Callable[[int, int], None]


def faces_for_trial(image_px: int) -> DemoData:
    """The generated faces of a trial: two groups of eight people, four images each."""
    return DemoData(
        image_px=min(max(image_px, 24), 224),
        groups=("Group A", "Group B"),
        train_identities=2,
        train_images=2,
        validation_identities=2,
        test_identities=8,
        test_images=4,
        synthetic_identities=0,
        test_pairs=40,
        validation_pairs=10,
        hard_impostors=7,
    )


def readings(about: Preprocessing) -> dict[str, Preprocessing]:
    """The record as it is ("as recorded"), and the other ways in which pixels are commonly read."""
    other = "BGR" if about.channels == "RGB" else "RGB"
    found = {"as recorded": about, f"{other} instead of {about.channels}": about.model_copy(update={"channels": other})}
    for name, mean, std in SCALINGS:
        if (about.mean, about.std) != ((mean,) * 3, (std,) * 3):
            found[f"pixels as {name}"] = about.model_copy(update={"mean": (mean,) * 3, "std": (std,) * 3})
    return found


def try_model(
    network: nn.Module,
    about: Preprocessing,
    faces: Dataset,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Accuracy on the faces' test pairs under every reading, and what is odd, as sentences in "warnings".

    Returns version; faces: how many were embedded, note: why not all; embedding_dim; readings: rows of what, accuracy (fraction) with its exact 95 % interval accuracy_low, accuracy_high, and against the record: difference, low, high (95 %, paired,
    redrawn people); flip_cosine: mean cosine of a face and its mirror image; other_cosine: of two people; norms:
    (least, median, largest) length of the raw embedding; warnings. Raises FairLabError for embeddings that are not finite.
    """
    ways = readings(about)
    pairs = faces.pairs_of("test")
    everybody = np.unique(pairs[["image_a", "image_b"]].to_numpy())
    ids, note = _as_many_as_time_allows(network, faces, everybody, about, len(ways) + 1)
    pairs = pairs[pairs["image_a"].isin(ids) & pairs["image_b"].isin(ids)].reset_index(drop=True)
    images, pairs = faces.images.assign(group=_ALL), pairs.assign(group=_ALL)
    comparison = PairedComparison(images, pairs, Evaluation(bootstrap=400))
    scores: dict[str, np.ndarray] = {}
    rows: list[dict[str, Any]] = []
    plain, norms = np.empty((0, 0)), np.empty(0)
    for number, (what, way) in enumerate(ways.items()):
        vectors, lengths = _embedded(network, faces, ids, way, False)
        if number == 0:
            plain, norms = vectors, lengths
        scores[what] = pair_scores(vectors, ids, pairs)
        rows.append(_row(what, scores, pairs, comparison))
        progress(number + 1, len(ways) + 1)
        if stop():
            raise Stopped
    mirrored, _ = _embedded(network, faces, ids, about, True)
    flip_cosine = float((plain * mirrored).sum(1).mean())
    other_cosine = float(scores["as recorded"][~pairs["genuine"].to_numpy(bool)].mean())
    progress(len(ways) + 1, len(ways) + 1)
    sizes = [float(value) for value in (norms.min(), np.median(norms), norms.max())]
    return {
        "version": VERSION,
        "faces": len(ids),
        "note": note,
        "pairs": len(pairs),
        "embedding_dim": int(plain.shape[1]),
        "readings": rows,
        "flip_cosine": flip_cosine,
        "other_cosine": other_cosine,
        "norms": sizes,
        "warnings": _warnings(rows, flip_cosine, other_cosine, sizes[0]),
    }


def _as_many_as_time_allows(
    network: nn.Module, faces: Dataset, ids: np.ndarray, about: Preprocessing, passes: int
) -> tuple[np.ndarray, str]:
    """(the faces to embed, why not all): by the time that a few take, people whole and as many of each group."""
    _embedded(network, faces, ids[:1], about, False)  # the first run also loads and compiles
    start = time.perf_counter()
    _embedded(network, faces, ids[:_TIMED], about, False)
    each = (time.perf_counter() - start) / _TIMED
    most = max(int(SECONDS / (each * passes)), _FEWEST)
    if most >= len(ids):
        return ids, ""
    table = faces.images.set_index("image_id").loc[ids, ["identity", "group"]].reset_index()
    table["person"] = table.groupby("group")["identity"].transform(lambda people: pd.factorize(people)[0])
    per_person = int(table.groupby(["group", "identity"]).size().max())
    people = max(most // (per_person * table["group"].nunique()), 2)
    kept = table.loc[table["person"] < people, "image_id"].to_numpy()
    note = f"tried on {len(kept)} of {len(ids)} generated faces, because one takes {each:.2g} s"
    return kept, note


def _embedded(
    network: nn.Module, faces: Dataset, ids: np.ndarray, way: Preprocessing, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    points = points_of(faces, way.image_px) if getattr(network, "takes_landmarks", False) else None
    inputs = ImageInputs(faces.pixels_at(way.image_px), ids, way, points)
    parts = list(embed(View(network, inputs, mirrored, torch.device("cpu"))))
    vectors, norms = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    if not np.isfinite(vectors).all():
        raise FairLabError("the network's embeddings of generated faces are not finite; its weights are damaged")
    return vectors, norms


def _row(what: str, scores: dict[str, np.ndarray], pairs: Any, comparison: PairedComparison) -> dict[str, Any]:
    found = fold_accuracy(scores[what], pairs["genuine"].to_numpy(bool), pairs["fold"].to_numpy())
    low, high = clopper_pearson(int((~found.correct).sum()), len(found.correct))
    row: dict[str, Any] = {"what": what, "accuracy": found.accuracy, "accuracy_low": 1 - high, "accuracy_high": 1 - low}
    if what != "as recorded":
        table = comparison.difference(scores[what], scores["as recorded"]).set_index("group")
        row |= {name: float(table.loc[ALL_GROUPS, name]) for name in ("difference", "low", "high")}
    return row


def _warnings(rows: list[dict[str, Any]], flip_cosine: float, other_cosine: float, shortest: float) -> list[str]:
    said = [
        f"with {row['what']} it separates generated faces better than as recorded: accuracy "
        f"{100 * row['difference']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]; check the record"
        for row in rows[1:]
        if row["low"] > 0
    ]
    if other_cosine > 0.9:
        said.append(
            f"different people get nearly the same embedding (mean cosine {other_cosine:.2f}): the pixels' scaling or the "
            "weights are probably wrong"
        )
    if flip_cosine <= other_cosine:
        said.append(
            f"a face and its mirror image (mean cosine {flip_cosine:.2f}) are not closer than two people "
            f"({other_cosine:.2f}): is it a face network?"
        )
    if shortest < 1e-3:
        said.append(f"an embedding is nearly zero (length {shortest:.2g})")
    return said
