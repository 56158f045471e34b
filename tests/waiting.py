"""Runs that wait, work or have ended, as folders: what the queue looks at, without anything being trained."""

from __future__ import annotations

import subprocess
from typing import Any

from fairlab.files import read_json, write_json
from fairlab.plan.plan import single
from fairlab.presets import load_preset
from fairlab.queue.turns import look
from fairlab.settings.placement import Placement
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.store.database import list_runs
from fairlab.store.queue import Turn, write_turn
from fairlab.store.runs import RunRecord, create_run, record_process, write_heartbeat, write_status
from fairlab.workspace import Workspace

STUDY = "a-study"


def entered(
    lab: Workspace,
    title: str,
    parents: tuple[str, ...] = (),
    status: str = "queued",
    role: Any = "teacher",
    devices: int = 1,
    beat: dict[str, object] | None = None,
    backbone: str = "tiny",
    **facts: object,
) -> RunRecord:
    """A run of STUDY that stands so; one that works has a process that sleeps. facts: of its status."""
    config = Run(
        role=role,
        method="classifier",
        data=Data(dataset="faces", groups=(title,)),
        backbone=Backbone(name=backbone),
        training=Training(epochs=2, drop_epochs=()),
    )
    record = single(lab, title, config, parents, "a preset", STUDY)
    create_run(lab, record)
    write_turn(record.folder, Turn(placement=Placement(devices=devices)))
    write_status(record.folder, status, reason="", **facts)
    if status == "running":
        record_process(record.folder, subprocess.Popen(["sleep", "120"]).pid)
        write_heartbeat(record.folder, **(beat or {}))
    path = lab.study(STUDY) / "study.json"
    names = read_json(path)["run_ids"] if path.exists() else []
    about = {"study_id": STUDY, "preset": "tiny", "title": "A study", "created_at": record.created_at}
    study = {**about, "config": load_preset("tiny").model_dump(mode="json"), "run_ids": [*names, record.run_id]}
    write_json(path, study)
    return record


def order(lab: Workspace) -> list[str]:
    """Titles of the waiting runs, in starting order."""
    runs = list_runs(lab)
    return [item.record.title for item in look(lab, dict(zip(runs["run_id"], runs["status"], strict=True))).waiting]


def waits(lab: Workspace) -> dict[str, str]:
    """What each waiting run waits for, by title: kind and words."""
    runs = list_runs(lab)
    found = look(lab, dict(zip(runs["run_id"], runs["status"], strict=True))).waiting
    return {item.record.title: item.kind for item in found}
