"""Further data sets on which a study's models are evaluated: one evaluation of each model on each set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.store.runs import SPACES
from fairlab.tables import PAIRS
from fairlab.workspace import Workspace


def a_set(lab: Workspace, name: str, pairs: bool = True) -> Path:
    """Two people with two images each."""
    images = pd.DataFrame({"image_id": range(4), "dataset": name, "split": "test", "identity": list("aabb")})
    images = images.assign(group="X", source="real", location=range(4))
    listed = pd.DataFrame({"pair_id": [0, 1], "protocol": "test", "image_a": [0, 1], "image_b": [1, 2]})
    listed = listed.assign(genuine=[True, False], group="X", fold=[0, 1])
    new = NewDataset(name, "test", "Group", ("X",), images, listed if pairs else PAIRS.build(),
                     np.zeros((4, 32, 32, 3), np.uint8), {})  # fmt: skip
    write_dataset(lab.dataset(name), new)
    return lab.dataset(name)


def test_each_model_is_evaluated_on_each_set_once(lab: Workspace) -> None:
    a_set(lab, "one")
    a_set(lab, "second")
    study = changed(load_preset("tiny"), {"tested_on": ["one", "second"], "seeds": [0, 1]})
    plan = expand(study, "tiny", lab)
    models = [run.record.run_id for run in plan.runs if run.record.role in SPACES]
    evaluations = [run.record for run in plan.runs if run.record.role == "evaluation"]
    assert {(record.parents, record.dataset) for record in evaluations} == {
        ((model,), name) for model in models for name in ("one", "second")
    }
    assert len(evaluations) == 2 * len(models)
    usual = expand(changed(load_preset("tiny"), {"seeds": [0, 1]}), "tiny", lab)
    assert [run.record.run_id for run in plan.runs if run.record.role != "evaluation"] == [
        run.record.run_id for run in usual.runs
    ]
    order = [run.record.run_id for run in plan.runs]
    assert all(order.index(record.parents[0]) < order.index(record.run_id) for record in evaluations)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["secnd"], "tested_on: there is no data set 'secnd' (did you mean 'second'?)"),
        (["second", "second"], "tested_on names one data set twice"),
        (
            ["bare"],
            "tested_on: data set bare has no pairs to evaluate a model on; `fairlab data pairs bare` draws some",
        ),
    ],
)
def test_a_set_that_cannot_be_is_one_sentence(lab: Workspace, names: list[str], sentence: str) -> None:
    a_set(lab, "second")
    a_set(lab, "bare", pairs=False)
    with pytest.raises(FairLabError) as refusal:
        expand(changed(load_preset("tiny"), {"tested_on": names}), "tiny", lab)
    assert sentence in str(refusal.value)
