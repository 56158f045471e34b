"""The errors of a run as pairs of faces: images, people, groups and attributes, beside a second model on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.compare.scored import OWN, scored
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import BESIDE, Wanted, chosen, decided
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.results import pairs_of
from fairlab.store.runs import RunRecord
from fairlab.tables import TEXT, WHOLE

PAIRS_BEHIND = BESIDE.plus(image_a=WHOLE, image_b=WHOLE)
"""A row is a pair of faces behind a rate. Each attribute of the data set follows as <attribute>_a and <attribute>_b."""


@dataclass(frozen=True)
class Where:
    """Which scores: a pair list or protocol of a data set, an operating point, and attributes whose values are the groups."""

    dataset: Dataset
    protocol: str
    point: OperatingPoint
    by: tuple[str, ...] = ()


def pairs_behind(
    record: RunRecord, where: Where, wanted: Wanted, second: RunRecord | None = None, most: int | None = None
) -> pd.DataFrame:
    """The pairs wanted, the worst first, `most` of them at most: PAIRS_BEHIND and the data set's attributes.

    Each model has the threshold that it has at the operating point. Raises FairLabError where a model has no scores on
    these pairs.
    """
    own, *others = [
        decided(scored(model, where.dataset, where.protocol, where.by), where.point)
        for model in (record, second)
        if model is not None
    ]
    found = chosen(own, wanted, others[0] if others else None)
    return with_images(found.head(most) if most is not None else found, record, where.dataset, where.protocol)


def with_images(found: pd.DataFrame, record: RunRecord, dataset: Dataset, protocol: str) -> pd.DataFrame:
    """Pairs (error_pairs.BESIDE) with their images and their people's attributes: PAIRS_BEHIND and the attributes."""
    return with_faces(found, images_of(found, record, dataset, protocol), dataset)


def images_of(found: pd.DataFrame, record: RunRecord, dataset: Dataset, protocol: str) -> dict[str, np.ndarray]:
    """The images (P,) "a" and "b" of pairs that have a pair_id. Raises FairLabError for a pair that the run does not have."""
    pairs = pairs_of(record.folder, dataset, protocol)
    at = pd.Index(pairs["pair_id"]).get_indexer(found["pair_id"])
    if (at < 0).any():
        raise FairLabError(f"pair {found['pair_id'].iloc[int(np.argmax(at < 0))]} is not among the {protocol} pairs")
    return {side: pairs[f"image_{side}"].to_numpy()[at] for side in "ab"}


def with_faces(found: pd.DataFrame, images: Mapping[str, np.ndarray], dataset: Dataset) -> pd.DataFrame:
    """Pairs (error_pairs.BESIDE) with their images "a" and "b" (P,): PAIRS_BEHIND and the attributes of both."""
    attributes = attributes_beside(dataset)
    columns = {name: found[name].to_numpy() for name in BESIDE} | {
        "image_a": images["a"],
        "image_b": images["b"],
        **{
            f"{name}_{side}": dataset.images[OWN + name].astype(str).to_numpy()[images[side]]
            for name in attributes
            for side in "ab"
        },
    }
    table = PAIRS_BEHIND.plus(**dict.fromkeys((f"{name}_{side}" for name in attributes for side in "ab"), TEXT))
    return table.of(columns)


def attributes_beside(dataset: Dataset) -> list[str]:
    """Attributes that the images have besides their group."""
    return [str(name)[len(OWN) :] for name in dataset.images if str(name).startswith(OWN)]
