"""What the small files of runs and studies may hold, see fairlab.settings.kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from fairlab.errors import Damaged
from fairlab.files import read_json
from fairlab.reading.characters import clean
from fairlab.settings.base import Name, Seed, Text
from fairlab.settings.grid import AxisValue
from fairlab.settings.kept import Count, FolderName, Kept, Seconds, Time, checked, read_checked
from fairlab.settings.study import Role

Status = Literal["queued", "running", "done", "failed", "stopped"]
MOST_REASON = 2000


class RunFile(Kept):
    """run.json. `config` is read by its own settings (fairlab.settings.study.Run)."""

    run_id: FolderName
    title: Text
    role: Role
    method: Name
    preset: Name
    study: Name
    parents: tuple[FolderName, ...] = Field(max_length=10_000)
    dataset: Name
    seed: Seed
    created_at: Time
    code_version: Name


class StatusFile(Kept):
    """status.json: what the run last said of itself."""

    status: Status = "queued"
    reason: Text = ""
    attempt: Count = 0
    train_s: Seconds | None = None
    bitwise: bool | None = None
    peak_rss_mb: Seconds | None = None
    updated_at: Time = ""
    started_at: Time = ""
    finished_at: Time = ""
    accepted_data: Name = ""
    archived_status: Name = ""
    notes: tuple[Text, ...] = Field((), max_length=10_000)
    held_out_identities: Count | None = None
    chosen_pass: Count | None = None
    chosen_on: Text | None = None
    chosen_among: Text | None = None
    """Whose pairs chose the weights, in words."""
    chosen_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None


class HeartbeatFile(Kept):
    """heartbeat.json: that the run lives, and what it does."""

    time: Time = ""
    stage: Name = ""
    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    eta_s: Seconds | None = None
    rate: Annotated[float, Field(ge=0, le=1e15)] | None = None
    unit: Name = ""
    done: Count | None = None
    total: Count | None = None


class ProcessFile(Kept):
    """process.json: which process has the run."""

    pid: int = Field(ge=1, le=2**31 - 1)
    create_time: float = Field(ge=0, le=1e12)
    ticks: int | None = Field(None, ge=0, le=2**62)
    boot_id: Name
    host: Name = ""


class VariedFile(Kept):
    """Of a run in study.json: the varied settings that it hangs on, and its title without them."""

    like: Text
    values: dict[Name, AxisValue] = Field(max_length=100)


class StudyFile(Kept):
    """study.json. `config` is read by its own settings (fairlab.settings.study.Study)."""

    study_id: FolderName
    title: Name
    preset: Name
    created_at: Time
    run_ids: tuple[FolderName, ...] = Field(max_length=100_000)
    varied: dict[FolderName, VariedFile] = Field({}, max_length=100_000)


class Measured(Kept):
    """What a short probe found of one kind of run: seconds for a step and an image, arithmetic, numbers."""

    step_s: Seconds = 0.0
    embed_s: Seconds = 0.0
    flops: Annotated[float, Field(ge=0, le=1e24)] = 0.0
    numbers: Annotated[float, Field(ge=0, le=1e15)] | None = None
    frozen: Annotated[float, Field(ge=0, le=1e15)] = 0.0
    """Of the numbers, those that training leaves as they are."""


class ProbeFile(Kept):
    """probes/*.json: how long this machine takes for the runs of a plan."""

    start_s: Seconds
    render_s: Seconds = 0.0
    timed: bool
    kinds: dict[Text, Measured] = Field(max_length=100_000)


class ProbeRequest(Kept):
    """probes/*.request: a plan that is to be measured. `study` is read by its own settings (fairlab.settings.study.Study)."""

    preset: Name


class WeightsFile(Kept):
    """weights/model.json: what is known of a network."""

    kind: Name = ""
    family: Name | None = None
    file: Text | None = None
    embedding_dim: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    image_px: Annotated[int, Field(ge=1, le=100_000)] | None = None
    classes: Count | None = None
    parameters: Count | None = None
    """Of a file: all its numbers, statistics of batch norm among them."""

    trained_parameters: Count | None = None
    frozen_parameters: Count | None = None
    """Those that training leaves as they were drawn, or inherited."""

    flops: Count | None = None
    """Of a forward pass of one input."""

    identities: Annotated[tuple[Text, ...], Field(max_length=100_000_000)] | None = None
    landmarks: Literal["data", "template"] | None = None
    warnings: tuple[Text, ...] = Field((), max_length=10_000)
    notes: tuple[Text, ...] = Field((), max_length=10_000)


def read_weights(folder: Path) -> dict[str, Any]:
    """What is known of the network in a run's folder, its checked facts and all others. Raises FairLabError, Damaged."""
    path = folder / "weights" / "model.json"
    raw = read_json(path)
    checked(WeightsFile, raw, path)
    settings = raw.get("settings")
    if settings is not None and not isinstance(settings, dict):
        raise Damaged(f"{path}: settings: expected an object with names")
    return dict(raw)


def study_of(folder: Path) -> StudyFile:
    """What the study in `folder` is and which runs are in it. Raises FairLabError (none there), Damaged."""
    path = folder / "study.json"
    found = read_checked(StudyFile, path)
    if found.study_id != folder.name:
        raise Damaged(f"{path} is the record of {found.study_id!r}; was the folder renamed or copied?")
    return found


def reason_of(text: str) -> str:
    """A reason as a status may keep it: one paragraph, no hidden characters, not endless."""
    line = clean(text.replace("\n", " ").replace("\t", " "))
    return line if len(line) <= MOST_REASON else f"{line[: MOST_REASON - 4]} ..."
