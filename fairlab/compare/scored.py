"""The scored pairs of a run, with the people and groups behind them: what every look at its fairness starts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.selections import Chosen, inside
from fairlab.errors import FairLabError
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.jobs.evaluate.starts import how_to_evaluate
from fairlab.store.results import pairs_of, read_results
from fairlab.store.runs import RunRecord

OWN = "attribute."
BETWEEN = " · "
"""Between the values of a group that is a combination, e.g. African · female."""

BY_ERRORS = (
    "where the selection was made by looking at these errors, its rates and intervals do not hold for other people"
)


def attributes_of(dataset: Dataset) -> list[str]:
    """What the images can be grouped by: the data set's own attribute first, then its others."""
    others = [str(name)[len(OWN) :] for name in dataset.images if str(name).startswith(OWN)]
    return [dataset.attribute, *(name for name in others if name != dataset.attribute)]


def scored(
    record: RunRecord,
    dataset: Dataset,
    protocol: str = "test",
    by: Sequence[str] = (),
    chosen: Chosen | None = None,
) -> ScoredPairs:
    """A run's stored scores on one protocol of a data set. by: attributes whose values (together) make the groups; none:
    the data set's own groups. chosen: pairs on this side of a selection alone; a note says what is left out. Raises
    FairLabError without scores, for an attribute that the data set does not have, and for a selection that leaves no pair.
    """
    pairs = pairs_of(record.folder, dataset, protocol)
    if pairs.empty and dataset.pairs.empty:
        raise FairLabError(f"{record.run_id} has no scored pairs: {how_to_evaluate(dataset, record.run_id)}")
    scores = read_results(record.folder, dataset.dataset_id, "scores")
    pairs = pairs.merge(scores[["pair_id", "score"]], on="pair_id")
    if pairs.empty:
        raise FairLabError(f"{record.run_id} has no scores on the {protocol} pairs of {dataset.dataset_id}")
    notes: tuple[str, ...] = ()
    if chosen is not None:
        pairs, notes = on_side(dataset, pairs, chosen)
    at = [pairs[column].to_numpy() for column in ("image_a", "image_b")]
    images = dataset.images.set_index("image_id")
    identity = images["identity"].astype(str)
    group = images["group"].astype(str) if not by else combined(dataset, by).set_axis(images.index)
    frame = pd.DataFrame(
        {
            "score": pairs["score"].to_numpy(np.float64),
            "line": pairs["pair_id"].to_numpy(),
            "group": pairs["group"].astype(str).to_numpy() if not by else group.loc[at[0]].to_numpy(),
            "other": pairs["group"].astype(str).to_numpy() if not by else group.loc[at[1]].to_numpy(),
            "id1": identity.loc[at[0]].to_numpy(),
            "id2": identity.loc[at[1]].to_numpy(),
            "genuine": pairs["genuine"].to_numpy(bool),
            "fold": pairs["fold"].to_numpy(),
        }
    )
    return ScoredPairs(frame, notes=notes, name=f"{record.title} on {dataset.dataset_id}")


def on_side(dataset: Dataset, pairs: pd.DataFrame, chosen: Chosen) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(pairs of which both images are on the chosen side of a selection, what is left out in words).

    Raises FairLabError where no pair is left, and for single images where pairs are of templates of several images.
    """
    if chosen.selected.endswith("images") and dataset.templates is not None:
        raise FairLabError(
            f"data set {dataset.dataset_id} compares templates of several images: choose people, not images"
        )
    mask = inside(dataset, chosen)
    sides = [mask[pairs[column].to_numpy(np.int64)] for column in ("image_a", "image_b")]
    kept, parted = sides[0] & sides[1], int((sides[0] ^ sides[1]).sum())
    count, people = int(kept.sum()), dataset.images["identity"][mask].nunique()
    if not count:
        raise FairLabError(
            f"{chosen}: none of the {len(pairs):,} pairs has both images there ({int(mask.sum()):,} images of {people:,} "
            f"people); {parted:,} pairs have one"
        )
    said = (
        f"S{str(chosen)[1:]}: {count:,} of {len(pairs):,} pairs; left out: {parted:,} pairs with one image on the other "
        f"side, {len(pairs) - count - parted:,} with both"
    )
    return pairs[kept].reset_index(drop=True), (said, BY_ERRORS)


def combined(dataset: Dataset, by: Sequence[str]) -> pd.Series:
    """(N,) the group of every image: its values of these attributes. Raises FairLabError for one it does not have."""
    known = attributes_of(dataset)
    missing = [name for name in by if name not in known]
    if missing:
        raise FairLabError(f"{dataset.dataset_id} has no attribute {missing[0]!r}; it has: {', '.join(known)}")
    columns = [
        dataset.images["group" if name == dataset.attribute else OWN + name].astype(str).reset_index(drop=True)
        for name in by
    ]
    return columns[0].str.cat(columns[1:], sep=BETWEEN) if len(columns) > 1 else columns[0]
