"""Traits of the images behind a run's numbers, and of the pairs that it compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.traits import Trait, needed_trait, traits_of
from fairlab.errors import FairLabError
from fairlab.store.embeddings import has_embeddings, open_embeddings
from fairlab.store.runs import RunRecord

NORM = "norm"
MEANING = (
    "larger embedding before it is made a unit vector; for many networks a better image (MagFace, arXiv 2103.06627)"
)
How = Literal["mean", "difference", "lower"]


def traits_behind(record: RunRecord, data: Dataset) -> dict[str, Trait]:
    """Name -> trait of every image of `data`: traits_of, and the norm of this run's embeddings where they are stored.

    Raises as traits_of; embeddings of an earlier state of the data are left out.
    """
    norm = norms(record, data)
    return {**traits_of(data), **({} if norm is None else {NORM: norm})}


def norms(record: RunRecord, data: Dataset) -> Trait | None:
    """Norms of a run's stored embeddings, NaN for images without; None where it has none of these data, or all are equal."""
    if not has_embeddings(record.folder, data.dataset_id, "plain"):
        return None
    space = open_embeddings(record.folder, data.dataset_id)
    if space.facts.get("fingerprint") != data.fingerprint:
        return None
    values = np.full(len(data.images), np.nan)
    values[space.ids] = space.norms
    known = values[space.ids]
    if np.ptp(known) <= 1e-5 * np.abs(known).max():  # unit vectors from a file: nothing is known of their norms
        return None
    return Trait(NORM, "model", MEANING, values)


def number_of(traits: dict[str, Trait], name: str, data: Dataset) -> Trait:
    """A trait that is a number. Raises FairLabError for one that there is not, and for a text."""
    found = needed_trait(traits, name, data)
    if not found.numeric:
        raise FairLabError(f"{name!r} is a text; this needs a number of each image")
    return found


def of_pairs(data: Dataset, pairs: pd.DataFrame, trait: Trait, how: How) -> np.ndarray:
    """A trait of every pair (image_a, image_b) of two images, or of two templates: the mean over a template's images.

    how: "mean", "difference" (absolute) or "lower" of two numbers: (P,) float64, NaN where one is unknown. Of a text whatever
    `how`: the two values in alphabetical order, "a + b", "" where one is unknown; a template whose images differ has none.
    """
    values = of_templates(data, trait).values
    one, other = (values[pairs[name].to_numpy(np.int64)] for name in ("image_a", "image_b"))
    if not trait.numeric:
        known = (one != "") & (other != "")
        first, second = np.where(one <= other, one, other), np.where(one <= other, other, one)
        return np.where(known, first + " + " + second, "").astype(object)
    if how == "mean":
        return np.asarray((one + other) / 2)
    if how == "difference":
        return np.asarray(np.abs(one - other))
    if how == "lower":
        return np.asarray(np.minimum(one, other))
    raise FairLabError(f"there is no {how!r} of a pair's two images; choose mean, difference or lower")


def of_templates(data: Dataset, trait: Trait) -> Trait:
    """A trait by what pairs name: as it is for pairs of images; for templates, at each template's first image."""
    if data.templates is None:
        return trait
    members = data.templates
    of = pd.Series(trait.values[members["image_id"].to_numpy(np.int64)]).groupby(members["template"].to_numpy(np.int64))
    if trait.numeric:
        means = of.mean()  # of the known ones
        values = np.full(len(trait.values), np.nan)
    else:
        means = of.first().where(of.nunique() == 1, "")
        values = np.full(len(trait.values), "", dtype=object)
    values[means.index.to_numpy()] = means.to_numpy()
    return replace(trait, values=values)
