"""A run's id is a hash of what differs from the defaults: a new setting changes none, another value always does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import create_model

from fairlab.plan.grid import expand
from fairlab.plan.plan import dataset_id, run_name, single, study_id
from fairlab.presets import load_preset
from fairlab.settings.distillation import EAFKDSettings
from fairlab.settings.loss import ArcFaceSettings
from fairlab.settings.study import Backbone, Data, DemoData, Evaluation, Run, Settings, Study, Training, changed
from fairlab.store.runs import create_run, read_run
from fairlab.workspace import Workspace

RUN = Run(
    role="student",
    method="eaf_kd",
    data=Data(dataset="d"),
    backbone=Backbone(),
    loss=ArcFaceSettings(scale=24.0),
    distillation=EAFKDSettings(),
    training=Training(epochs=3, drop_epochs=()),
    evaluation=Evaluation(),
)


def later(kind: type[Settings], **groups: Any) -> Any:
    """A class of settings as a later version may have it: with one setting more, and with groups of its like."""
    return create_model(f"Later{kind.__name__}", __base__=kind, later=(int, 3), **groups)


GROUPS = {
    "data": Data,
    "backbone": Backbone,
    "loss": ArcFaceSettings,
    "distillation": EAFKDSettings,
    "training": Training,
}
LATER = later(
    Run, **{name: (later(kind), ...) for name, kind in GROUPS.items()}, added=(later(Evaluation) | None, None)
)


def test_new_settings_change_no_id_of_a_run() -> None:
    """One more in the run itself, in each of its groups, and a group more."""
    newer = LATER.model_validate(RUN.model_dump())
    assert newer.training.later == newer.loss.later == newer.later == 3
    assert run_name("T", newer, ("p",)) == run_name("T", RUN, ("p",))


@pytest.mark.parametrize("group", GROUPS)
def test_a_new_setting_that_is_used_is_another_run(group: str) -> None:
    values = RUN.model_dump()
    newer = LATER.model_validate({**values, group: {**values[group], "later": 4}})
    assert run_name("T", newer, ()) != run_name("T", RUN, ())


def test_new_settings_change_no_id_of_a_study_or_of_generated_faces() -> None:
    study = load_preset("tiny")
    assert study.demo is not None
    newer = later(Study, demo=(later(DemoData) | None, None)).model_validate(study.model_dump())
    assert study_id(newer, "tiny") == study_id(study, "tiny")
    assert dataset_id(newer.demo) == dataset_id(study.demo)
    assert dataset_id(study.demo.model_copy(update={"seed": 1})) != dataset_id(study.demo)
    assert study_id(changed(study, {"seeds": (1,)}), "tiny") != study_id(study, "tiny")


OTHERS = {
    "training.epochs": 4,
    "training.keep": "best",
    "training.ema_decay": 0.5,
    "loss.scale": 25.0,
    "loss.sample_rate": 0.5,
    "loss.name": "elastic_arcface",
    "distillation.kd_weight": 1.0,
    "distillation.online": True,
    "data.held_out": 0.1,
    "data.groups": ("x",),
    "seed": 1,
    "evaluation.bootstrap": 200,
}


def test_every_other_value_is_another_run() -> None:
    """Also another loss with nothing but its defaults, and a value that was a default before."""
    names = [
        run_name("T", RUN, ()),
        *(run_name("T", changed(RUN, {dial: value}), ()) for dial, value in OTHERS.items()),
    ]
    names.append(run_name("T", changed(RUN, {"loss.scale": 64.0}), ()))
    names.append(run_name("T", changed(RUN, {"loss.scale": 64.0, "loss.name": "cosface"}), ()))
    names.append(run_name("T", RUN.model_copy(update={"loss": None}), ()))
    names.append(run_name("T", RUN, ("parent",)))
    assert len(set(names)) == len(names)


def test_every_loss_and_every_method_are_runs_of_their_own(lab: Workspace) -> None:
    methods, losses = ("a_kd", "eaf_kd", "rkd", "sp", "fitnet"), ("arcface", "cosface", "adaface", "norm_softmax")
    study = changed(load_preset("tiny"), {"grid.relatives": methods, "grid.losses": losses})
    runs = [run.record.run_id.rpartition("-")[2] for run in expand(study, "tiny", lab).runs]
    assert len(set(runs)) == len(runs)


def test_a_run_keeps_every_value_so_that_it_outlives_its_defaults(lab: Workspace) -> None:
    """run.json has the defaults too; what the role does not use is left out."""
    record = single(lab, "T", RUN, ())
    create_run(lab, record)
    kept = json.loads((record.folder / "run.json").read_text())["config"]
    for name, kind in {**GROUPS, "evaluation": Evaluation}.items():
        assert kept[name].keys() == kind.model_fields.keys()
    assert kept["data"]["held_out"] is None
    assert "adaptor" not in kept
    assert read_run(lab, record.run_id).config == RUN
