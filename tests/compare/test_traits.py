"""Traits behind a run and of pairs: by hand, for images and for templates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.traits import norms, of_pairs, traits_behind
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.traits import Trait
from fairlab.errors import FairLabError
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import read_run
from fairlab.tables import TEMPLATES
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of

AGE = Trait("age", "table", "", np.array([20.0, 30.0, np.nan, 44.0]))
SCENE = Trait("scene", "table", "", np.array(["in", "out", "", "out"], dtype=object))
PAIRS = pd.DataFrame({"image_a": [0, 3, 1, 1], "image_b": [1, 0, 2, 3]})


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 2)})


def test_numbers_of_a_pair(data: Dataset) -> None:
    for how, wanted in (
        ("mean", [25, 32, np.nan, 37]),
        ("difference", [10, 24, np.nan, 14]),
        ("lower", [20, 20, np.nan, 30]),
    ):
        assert np.array_equal(of_pairs(data, PAIRS, AGE, how), wanted, equal_nan=True)
    with pytest.raises(
        FairLabError, match="there is no 'sum' of a pair's two images; choose mean, difference or lower"
    ):
        of_pairs(data, PAIRS, AGE, "sum")


def test_texts_of_a_pair_are_in_order(data: Dataset) -> None:
    assert of_pairs(data, PAIRS, SCENE, "mean").tolist() == ["in + out", "in + out", "", "out + out"]


def test_a_template_has_the_mean_of_its_images(data: Dataset) -> None:
    """Template 0: images 0 and 1, template 2: images 2 (unknown) and 3; texts that differ are none."""
    templates = TEMPLATES.of(
        {"template": [0, 0, 2, 2], "image_id": [0, 1, 2, 3], "media": 0, "weight": 1.0, "name": "t"}
    )
    data.__dict__["templates"] = templates
    one = pd.DataFrame({"image_a": [0], "image_b": [2]})
    assert of_pairs(data, one, AGE, "mean").tolist() == [(25 + 44) / 2]
    assert of_pairs(data, one, AGE, "lower").tolist() == [25]
    assert of_pairs(data, one, SCENE, "mean").tolist() == [""]


def test_the_norm_of_a_run(tiny: Workspace) -> None:
    """Of the images that were embedded, as they are stored; the demo's own traits come with it."""
    runs = list_runs(tiny)
    record = read_run(tiny, str(runs.loc[runs["role"] == "student", "run_id"].iloc[0]))
    data = open_dataset(tiny.dataset(record.dataset))
    found = traits_behind(record, data)
    assert {"norm", "blur", "pose"} <= set(found)
    space = open_embeddings(record.folder, data.dataset_id)
    assert np.array_equal(found["norm"].values[space.ids], space.norms.astype(np.float64))
    assert np.isnan(found["norm"].values).sum() == len(data.images) - len(space.ids)
    other = Dataset(data.folder, {**data.info, "fingerprint": "another"})
    assert norms(record, other) is None
