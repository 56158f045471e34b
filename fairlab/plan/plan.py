"""A plan: a list of runs in the order of their needs, and the ids that make the same work the same run.

A run's id holds a hash of its settings and its parents' ids, so the same work has the same id: a second launch
finds it, and studies share what they can.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fairlab import __version__
from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.settings.study import DemoData, Run, Study
from fairlab.store.runs import RunRecord, state
from fairlab.workspace import Workspace, now

CONTRACT = 1
"""Raised when the meaning or the default of a setting changes: ids leave defaults out, and an older run would be taken for
the same work. tests/plan/test_defaults.py sees a default that changes."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of a plan: its record, and what the workspace already knows of it ("new", "done", "queued" ...)."""

    record: RunRecord
    status: str
    steps: int
    """Training steps; 0 for a run that does not train."""
    varied: Mapping[str, Any] = field(default_factory=dict)
    """The axes of the study that its work hangs on, dotted, and its values of them."""
    like: str = ""
    """Its title without these values: runs that differ in them alone share it."""


@dataclass(frozen=True)
class Plan:
    """What starting a study would do, in an order in which parents come first."""

    study_id: str
    preset: str
    study: Study
    runs: tuple[PlannedRun, ...]
    notes: tuple[str, ...] = ()
    """What of the grid was left out, and why."""

    @property
    def new(self) -> tuple[PlannedRun, ...]:
        """Runs that are not done yet."""
        return tuple(run for run in self.runs if run.status != "done")


def slug(text: str) -> str:
    """`text` as part of a folder's name: lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "x"


def study_id(study: Study, preset: str) -> str:
    """Name of a study's folder: the same preset with the same settings is the same study."""
    return f"{slug(preset)}-{digest([CONTRACT, study.model_dump(mode='json', exclude_defaults=True)], 8)}"


def data_of(plan: Plan) -> str:
    """The data set that a plan's models learn from."""
    return plan.study.dataset if plan.study.demo is None else dataset_id(plan.study.demo)


def dataset_id(demo: DemoData) -> str:
    """Name of the generated data set of these settings."""
    return f"demo-{digest([CONTRACT, demo.model_dump(mode='json', exclude_defaults=True)], 8)}"


class Builder:
    """Collects the runs of one plan."""

    def __init__(self, workspace: Workspace, study: Study, preset: str) -> None:
        self.workspace, self.study, self.preset = workspace, study, preset
        self.study_id = study_id(study, preset)
        self.runs: dict[str, PlannedRun] = {}
        self.notes: list[str] = []
        self.left_out: set[int] = set()
        """Tables of grid.leave_out that some student has met."""

    def add(self, title: str, config: Run, parents: tuple[str, ...], images: int = 0) -> str:
        """Enter a run and return its id. `images`: how many it trains on, for the number of steps.

        Of data of which people are held out, a share: how many images these people have is not looked at.
        """
        if config.training is not None and (share := self.study.held_out):
            config = config.model_copy(update={"data": config.data.model_copy(update={"held_out": share})})
            images = round(images * (1 - share))
        record = single(self.workspace, title, config, parents, self.preset, self.study_id)
        status = state(record.folder).status if (record.folder / "run.json").exists() else "new"
        steps = 0
        if config.training is not None:
            per_epoch = images // config.training.epoch_images
            if per_epoch == 0:
                whole = "batch" if config.training.accumulate == 1 else "step"
                general = " general images" if config.training.pair_identities else ""
                raise FairLabError(
                    f"{title}: {images} training images do not fill one {whole} of {config.training.epoch_images}{general}; "
                    "lower training.batch_size or use more people"
                )
            steps = per_epoch * config.training.epochs
        self.runs[record.run_id] = PlannedRun(record, status, steps, like=title)
        return record.run_id

    def enter(self, run: PlannedRun, parents: tuple[str, ...], varied: Mapping[str, Any], words: Sequence[str]) -> str:
        """Enter a run of another plan with parents of this one, its title telling what is varied; returns its id.

        A data set keeps its id: studies share it, and its title alone tells what is varied.
        """
        config, plain = run.record.config, run.record.title
        title = with_words(plain, words)
        named = plain if config.role == "dataset" else title
        record = single(self.workspace, named, config, parents, self.preset, self.study_id)
        status = state(record.folder).status if (record.folder / "run.json").exists() else "new"
        self.runs[record.run_id] = PlannedRun(replace(record, title=title), status, run.steps, varied, plain)
        return record.run_id


def with_words(title: str, words: Sequence[str]) -> str:
    """A title with further words in its brackets, e.g. "Student EAF-KD (SL, balanced; kd_weight 10)"."""
    if not words:
        return title
    return f"{title[:-1]}; {', '.join(words)})" if title.endswith(")") else f"{title} ({', '.join(words)})"


def single(
    workspace: Workspace, title: str, config: Run, parents: tuple[str, ...], preset: str = "", study: str = ""
) -> RunRecord:
    """The record of one run; without a study for what a page asks for by itself, e.g. a map."""
    run_id = run_name(title, config, parents)
    return RunRecord(
        run_id=run_id,
        title=title,
        role=config.role,
        method=config.method,
        preset=preset,
        study=study,
        config=config,
        parents=parents,
        dataset=config.data.dataset,
        seed=config.seed,
        created_at=now(),
        code_version=__version__,
        folder=workspace.run(run_id),
    )


def run_name(title: str, config: Run, parents: tuple[str, ...]) -> str:
    """A run's id: its title, seed, and a hash of all that decides its result.

    Of the settings only those that differ from the defaults count, so a new setting changes no id.
    """
    content = [CONTRACT, config.model_dump(mode="json", exclude_defaults=True), list(parents)]
    return f"{slug(title)}-s{config.seed}-{digest(content, 8)}"
