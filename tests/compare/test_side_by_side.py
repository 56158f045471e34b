"""Runs side by side: only what differs, the readings that there are curves of, and what each run is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.side_by_side import MOST, UNUSED, differing, quantities, readings, records_of, titles_of
from fairlab.errors import FairLabError
from fairlab.plan.grid import plan_preset
from fairlab.settings.study import changed
from fairlab.store.runs import RunRecord, create_run
from fairlab.tables import EVENTS
from fairlab.workspace import Workspace, open_workspace


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    """The planned runs of the preset tiny, by title; none has begun."""
    workspace = open_workspace(tmp_path_factory.mktemp("side by side"))
    return {run.record.title: run.record for run in plan_preset(workspace, "tiny").runs}


def rows(records: list[RunRecord]) -> dict[str, list[str]]:
    table = differing(records)
    return {row["setting"]: [row[record.run_id] for record in records] for row in table.to_dict("records")}


def other(record: RunRecord, name: str, **dials: object) -> RunRecord:
    return replace(
        record, run_id=name, config=changed(record.config, {k.replace("__", "."): v for k, v in dials.items()})
    )


def test_only_the_settings_that_differ_are_rows(records: dict[str, RunRecord]) -> None:
    student = records["Student without KD"]
    slower = other(student, "slower", training__base_lr=0.01, seed=3)
    assert rows([student, slower]) == {
        "seed": ["0", "3"],
        "training.base_lr": [str(student.config.training.base_lr), "0.01"],  # type: ignore[union-attr]
    }
    assert differing([student, replace(student, run_id="again")]).empty
    assert rows([student, replace(student, run_id="b", parents=("x", "y"))]) == {
        "parents": [student.parents[0], "x, y"]
    }


def test_a_part_that_a_run_does_not_use_is_one_row(records: dict[str, RunRecord]) -> None:
    """Without it, each of a loss's or a distillation's settings would be a row that says the same."""
    plain, taught = records["Student without KD"], records["Student EAF-KD (SL, specialised)"]
    found = rows([plain, taught])
    assert found["distillation"] == [UNUSED, "used"]
    assert not [name for name in found if name.startswith("distillation.")]
    strong = other(taught, "strong", distillation__kd_weight=7.5)
    found = rows([plain, taught, strong])  # two that use it and differ: then that setting is one too
    weight = str(taught.config.distillation.kd_weight)  # type: ignore[union-attr]
    assert found["distillation.kd_weight"] == ["", weight, "7.5"]


def test_a_setting_that_only_one_loss_has_is_shown(records: dict[str, RunRecord]) -> None:
    student = records["Student without KD"]
    loss = "adaface" if student.config.loss.name != "adaface" else "arcface"  # type: ignore[union-attr]
    found = rows([student, other(student, "another", loss__name=loss)])
    assert found["loss.name"] == [student.config.loss.name, loss]  # type: ignore[union-attr]
    assert all("" in found[name] for name in found if name.startswith("loss.") and name != "loss.name")


def test_titles_are_told_apart_by_seed_then_by_id(records: dict[str, RunRecord]) -> None:
    student = records["Student without KD"]
    named = [replace(student, run_id=name, title=title, seed=seed) for name, title, seed in (("a", "S", 0), ("b", "S", 1), ("c", "S", 1), ("d", "T", 1))]  # fmt: skip
    assert titles_of(named) == {"a": "S · seed 0", "b": "S · seed 1 · b", "c": "S · seed 1 · c", "d": "T"}


def events(**values: list[float]) -> pd.DataFrame:
    return EVENTS.build(
        ("r", step + 1, step // 2, name, value, step + 0.5)
        for name, line in values.items()
        for step, value in enumerate(line)
    )


def test_a_loss_term_that_is_always_zero_has_no_curve() -> None:
    found = events(loss=[3.0, 2.0], distillation=[0.0, 0.0], identity=[3.0, 2.0], lr=[0.0, 0.0], odd=[1.0])
    assert quantities(found) == ["loss", "identity", "lr", "odd"]
    counted = EVENTS.build([("r", 1, 0, name, 1.0, 1.0) for name in ("validation_accuracy/B", "seen/B", "routed/B/1", "validation_accuracy", "validation_accuracy/A", "loss")])  # fmt: skip
    assert quantities(counted) == ["loss", "validation_accuracy", "validation_accuracy/A", "validation_accuracy/B"]


def test_a_routing_is_among_the_readings(records: dict[str, RunRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two teachers used alike in the first epoch and one alone in the second: entropy over log n is 1, then 0."""
    student = records["Student without KD"]
    routed = replace(student, method="mst_distill", parents=())
    monkeypatch.setattr("fairlab.compare.routing.teachers_of", lambda _workspace, _record: {"one": (), "two": ()})
    counts = {"seen/A": [4.0, 0.0, 4.0, 0.0], "routed/A/1": [2.0, 0.0, 4.0, 0.0], "routed/A/2": [2.0, 0.0, 0.0, 0.0]}
    found = readings(Workspace(Path("nowhere")), routed, events(**counts))
    entropy = found[found["name"] == "routing/entropy"]
    assert np.allclose(entropy["value"], [1.0, 0.0])
    assert entropy["step"].tolist() == [2, 4]
    assert readings(Workspace(Path("nowhere")), student, events(loss=[1.0])).equals(events(loss=[1.0]))


@pytest.mark.parametrize(("names", "wrong"), [
    (["a"], "choose 2 to 50 runs"), (["a", "a"], "choose 2 to 50 runs"), ([str(n) for n in range(MOST + 1)], "not 51"),
    (["here", "deleted"], "there is no run 'deleted'"), (["here", "../x"], "not the name of a run"),
])  # fmt: skip
def test_what_cannot_be_side_by_side_is_refused(
    names: list[str], wrong: str, tmp_path: Path, records: dict[str, RunRecord]
) -> None:
    workspace = open_workspace(tmp_path / "home")
    create_run(workspace, replace(records["Student without KD"], run_id="here"))
    with pytest.raises(FairLabError, match=wrong):
        records_of(workspace, names)
