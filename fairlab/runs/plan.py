"""A study as a list of runs: teachers, adaptors, students, in the order of their needs.

A run's id holds a hash of its settings and its parents' ids, so the same work has the same id: a second launch
finds it, and studies share what they can.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from fairlab import __version__
from fairlab.config import (
    Data,
    DemoData,
    Distillation,
    Role,
    Run,
    StudentSettings,
    Study,
    TeacherSettings,
)
from fairlab.data.base import open_dataset
from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.registry import declared
from fairlab.store.runs import RunRecord, state
from fairlab.workspace import Workspace, now

CONTRACT = 1
"""Raised when the meaning of a setting changes, so that older runs are not taken for the same work."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of a plan: its record, and what the workspace already knows of it ("new", "done", "queued" ...)."""

    record: RunRecord
    status: str
    steps: int
    """Training steps; 0 for a run that does not train."""


@dataclass(frozen=True)
class Plan:
    """What starting a study would do, in an order in which parents come first."""

    study_id: str
    preset: str
    study: Study
    runs: tuple[PlannedRun, ...]

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
    content = study.model_dump(mode="json")
    for part in ("teacher", "adaptor", "student"):
        for group in ("loss", "training"):  # an empty setting there is none: studies from before keep their id
            given = {name: value for name, value in content[part][group].items() if value is not None}
            content[part][group] = given
    return f"{slug(preset)}-{digest([CONTRACT, content], 8)}"


def dataset_id(demo: DemoData) -> str:
    """Name of the generated data set of these settings."""
    return f"demo-{digest([CONTRACT, demo.model_dump(mode='json')], 8)}"


class _Builder:
    """Collects the runs of one plan."""

    def __init__(self, workspace: Workspace, study: Study, preset: str) -> None:
        self.workspace, self.study, self.preset = workspace, study, preset
        self.study_id = study_id(study, preset)
        self.runs: dict[str, PlannedRun] = {}

    def add(self, title: str, config: Run, parents: tuple[str, ...], images: int = 0) -> str:
        """Enter a run and return its id. `images`: how many it trains on, for the number of steps."""
        record = single(self.workspace, title, config, parents, self.preset, self.study_id)
        status = state(record.folder).status if (record.folder / "run.json").exists() else "new"
        steps = 0
        if config.training is not None:
            per_epoch = images // config.training.step_images
            if per_epoch == 0:
                whole = "batch" if config.training.accumulate is None else "step"
                raise FairLabError(
                    f"{title}: {images} training images do not fill one {whole} of {config.training.step_images}; "
                    "lower its training.batch_size or take more people"
                )
            steps = per_epoch * config.training.epochs
        self.runs[record.run_id] = PlannedRun(record, status, steps)
        return record.run_id


def expand(study: Study, preset: str, workspace: Workspace) -> Plan:
    """The runs of a study. Raises FairLabError for settings that cannot work, with the reason."""
    check_names(study)
    builder = _Builder(workspace, study, preset)
    dataset, sizes, needed = _data(builder)
    for seed in study.seeds:
        _expand_seed(builder, seed, dataset, sizes, needed)
    return Plan(builder.study_id, preset, study, tuple(builder.runs.values()))


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
    """A run's id: its title, seed, and a hash of all that decides its result."""
    content = [CONTRACT, config.model_dump(mode="json", exclude_none=True), list(parents)]  # a new setting is None
    return f"{slug(title)}-s{config.seed}-{digest(content, 8)}"


def check_names(study: Study) -> None:
    """Refuse architectures, adaptors and losses that do not exist, naming those that do."""
    wanted = [
        ("teacher.backbone.name", study.teacher.backbone.name, "BACKBONES", "models"),
        ("student.backbone.name", study.student.backbone.name, "BACKBONES", "models"),
        ("teacher.loss.name", study.teacher.loss.name, "LOSSES", "losses"),
        ("adaptor.loss.name", study.adaptor.loss.name, "LOSSES", "losses"),
        ("student.loss.name", study.student.loss.name, "LOSSES", "losses"),
        *(("adaptors", name, "ADAPTORS", "models") for name in study.adaptors),
    ]
    for field, name, registry, package in wanted:
        known = declared(registry, package)
        if name not in known:
            raise FairLabError(f"{field}: there is no {name!r}; choose one of: {', '.join(known)}")


def _data(builder: _Builder) -> tuple[str, Mapping[str, int], tuple[str, ...]]:
    """(data set id, training images per group, ids of the runs that make the data)."""
    study = builder.study
    if study.demo is not None:
        name = dataset_id(study.demo)
        config = Run(role="dataset", method="render", seed=study.demo.seed, data=Data(dataset=name), demo=study.demo)
        made = builder.add("Demo faces", config, ())
        return name, dict.fromkeys(study.demo.groups, study.demo.train_identities * study.demo.train_images), (made,)
    found = open_dataset(builder.workspace.dataset(study.dataset))
    if not found.has_images:
        raise FairLabError(f"data set {study.dataset} came as a table of names and pairs: it has no images to train on")
    train = found.images[found.images["split"] == "train"]
    counts = {group: int((train["group"] == group).sum()) for group in found.groups}
    empty = [group for group, count in counts.items() if count == 0]
    if empty:
        raise FairLabError(
            f"data set {study.dataset}: group {empty[0]!r} has no training image; remove the group or add images"
        )
    return study.dataset, counts, ()


def _expand_seed(builder: _Builder, seed: int, dataset: str, sizes: Mapping[str, int], needed: tuple[str, ...]) -> None:
    study, groups, everyone = builder.study, list(sizes), sum(sizes.values())
    spaces: list[str] = []
    for arm in study.arms:
        teachers: list[str] = []
        for number, group in enumerate(groups):
            if arm == "specialised":
                title, data, images = f"Teacher {group}", Data(dataset=dataset, groups=(group,)), sizes[group]
            else:
                title = f"Balanced teacher {number + 1}"
                data, images = Data(dataset=dataset, parts=len(groups), part=number), everyone // len(groups)
            config = _network("teacher", "classifier", seed, data, study.teacher, study, None)
            teachers.append(builder.add(title, config, needed, images))
        spaces += teachers
        if study.concatenation:
            config = Run(
                role="baseline",
                method="concatenation",
                seed=seed,
                data=Data(dataset=dataset),
                evaluation=study.evaluation,
            )
            spaces.append(builder.add(f"Concatenation ({arm})", config, tuple(teachers)))
        for name in study.adaptors:
            settings = study.adaptor
            config = Run(
                role="adaptor",
                method="common_space",
                seed=seed,
                data=Data(dataset=dataset),
                adaptor=settings.adaptor.model_copy(update={"name": name}),
                loss=settings.loss,
                training=settings.training,
                evaluation=study.evaluation,
            )
            adaptor = builder.add(f"Common space ({name.upper()}, {arm})", config, tuple(teachers), everyone)
            spaces.append(adaptor)
            for method in study.students:
                config = _network(
                    "student", method, seed, Data(dataset=dataset), study.student, study, study.student.distillation
                )
                label = {"a_kd": "a-KD", "eaf_kd": "EAF-KD"}[method]
                spaces.append(builder.add(f"Student {label} ({name.upper()}, {arm})", config, (adaptor,), everyone))
    if study.plain_student:
        config = _network("student", "classifier", seed, Data(dataset=dataset), study.student, study, None)
        spaces.append(builder.add("Student without KD", config, needed, everyone))
    config = Run(role="projection", method="umap", seed=seed, data=Data(dataset=dataset), projection=study.projection)
    builder.add("Maps", config, tuple(spaces))


def _network(
    role: Role,
    method: str,
    seed: int,
    data: Data,
    settings: TeacherSettings | StudentSettings,
    study: Study,
    distillation: Distillation | None,
) -> Run:
    return Run(
        role=role,
        method=method,
        seed=seed,
        data=data,
        backbone=settings.backbone,
        loss=None if method == "a_kd" else settings.loss,
        distillation=distillation,
        training=settings.training,
        evaluation=study.evaluation,
    )
