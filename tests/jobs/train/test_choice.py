"""The choice of a run's weights: on held-out training people, never on test people, and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab.cli.show import show_run
from fairlab.data.dataset import Dataset
from fairlab.data.holding_out import held_out_identities, held_out_pairs
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.scores import pair_scores
from fairlab.evaluation.verification import fold_accuracy
from fairlab.jobs import roles
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Evaluation, ModelFile, Run, Training
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.events import read_events
from fairlab.store.runs import RunRecord, create_run, read_status, write_status
from fairlab.workspace import Workspace

PX, PEOPLE, EACH, GROUPS = 16, 8, 5, ("Coast", "Hills", "Plain")


@pytest.fixture
def faces(lab: Workspace) -> Dataset:
    """Three groups of eight people, a pattern each, in noise that makes them hard to tell apart; no pairs of their own."""
    dice = np.random.default_rng(0)
    people = dice.normal(128, 40, (len(GROUPS) * PEOPLE, PX, PX, 3))
    pixels = np.repeat(people, EACH, axis=0) + dice.normal(0, 60, (len(people) * EACH, PX, PX, 3))
    number = np.repeat(np.arange(len(people)), EACH)
    images = pd.DataFrame(
        {
            "image_id": np.arange(len(number)),
            "dataset": "faces",
            "split": "train",
            "identity": [f"p{value:02d}" for value in number],
            "group": [GROUPS[value // PEOPLE] for value in number],
            "source": "synthetic",
            "location": "",
        }
    )
    return write_dataset(
        lab.dataset("faces"),
        NewDataset(
            dataset_id="faces",
            kind="test",
            attribute="group",
            groups=GROUPS,
            images=images,
            pairs=pd.DataFrame(columns=["pair_id", "protocol", "image_a", "image_b", "genuine", "group", "fold"]),
            pixels=pixels.clip(0, 255).astype(np.uint8),
            recipe={},
        ),
    )


def teacher(lab: Workspace, data: Data, **training: Any) -> RunRecord:
    config = Run(
        role="teacher",
        method="classifier",
        data=data,
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(4, 8)),
        loss=loss_settings(scale=16.0, margin_rad=0.1),
        training=Training(**{"epochs": 5, "batch_size": 8, "base_lr": 4.0, "drop_epochs": ()} | training),
        evaluation=Evaluation(),
    )
    record = single(lab, "Teacher", config, ())
    create_run(lab, record)
    return record


def carried_out(lab: Workspace, record: RunRecord) -> dict[str, Any]:
    return roles.carry_out(Job(lab, record))


@pytest.mark.parametrize("training", [{}, {"ema_decay": 0.5, "balance": "groups"}])
def test_the_pass_that_is_kept_is_the_one_that_was_best(
    lab: Workspace, faces: Dataset, training: dict[str, Any]
) -> None:
    """Judged once more from the embeddings that the run stored: they have that pass's accuracy in every group."""
    data = Data(dataset="faces", groups=("Coast", "Hills"), held_out=0.3)
    record = teacher(lab, data, keep="best", **training)
    told = carried_out(lab, record)
    events = read_events(record.folder)
    mean = events[events["name"] == "validation_accuracy"].sort_values("step")["value"].to_numpy()
    assert len(mean) == 5
    assert told["chosen_pass"] == int(np.argmax(mean)) + 1
    assert told["chosen_accuracy"] == mean.max()
    assert (told["chosen_on"], told["chosen_among"]) == ("validation", "pairs of held-out training identities")
    write_status(record.folder, "done", reason="", **told)  # as the worker does
    assert {name: read_status(record.folder)[name] for name in told} == told
    assert list_runs(lab).set_index("run_id").loc[record.run_id, "status"] == "done"
    stored = open_embeddings(record.folder, "faces", "plain")
    pairs = held_out_pairs(faces.images, data, 0)
    scores = pair_scores(stored.vectors, stored.ids, pairs)
    for group in GROUPS:  # also the one that it did not train on
        of = (pairs["group"] == group).to_numpy()
        found = fold_accuracy(scores[of], pairs["genuine"].to_numpy(bool)[of], pairs["fold"].to_numpy()[of]).accuracy
        read = events[events["name"] == f"validation_accuracy/{group}"].set_index("epoch")["value"]
        assert found == pytest.approx(read[told["chosen_pass"] - 1], abs=1e-9)


def test_nobody_who_is_held_out_is_trained_on(lab: Workspace, faces: Dataset) -> None:
    """Two of eight in each of three groups; the classifier knows the other eighteen."""
    data = Data(dataset="faces", held_out=0.25)
    record = teacher(lab, data, epochs=1)
    told = carried_out(lab, record)
    assert (told["held_out_identities"], told["classes"], told["training_images"]) == (6, 18, 90)
    known = json.loads((record.folder / "weights" / "model.json").read_text())["identities"]
    assert not set(known) & set(held_out_identities(faces.images, data, 0))
    assert "chosen_on" not in told  # the last pass: nothing was chosen


def test_without_anybody_to_validate_on_no_pass_is_the_best(lab: Workspace, faces: Dataset) -> None:
    record = teacher(lab, Data(dataset="faces"), keep="best")
    with pytest.raises(FairLabError, match=r"keep 'best' .* there are none"):
        carried_out(lab, record)


def test_what_was_chosen_on_a_test_set_is_marked_so(
    lab: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its record says, the status and `fairlab show` do."""
    config = Run(role="model", method="onnx", data=Data(), model=ModelFile(path="m.onnx", chosen_on="RFW test"))
    record = single(lab, "Theirs", config, ())
    create_run(lab, record)
    write_status(record.folder, "done", reason="", chosen_on="RFW test")
    show_run(lab, record.run_id)
    assert json.loads(capsys.readouterr().out)["chosen_on"] == "RFW test"
