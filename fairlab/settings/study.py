"""Every setting of every run, once: type, default, limits and one sentence that form, --help and docs share.

A default is the paper's (MST-KD, arXiv 2408.16563, and its official code) unless its sentence says
otherwise. A preset holds only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fairlab.errors import FairLabError
from fairlab.settings.adaptor import ADAPTOR_OF, Adaptor
from fairlab.settings.backbone import AnyBackbone, Backbone, backbone_kind, for_backbone
from fairlab.settings.base import Name, Names, Seed, Seeds, Settings, Text
from fairlab.settings.data import Data, DemoData, ModelFile, Source, StudyFolder
from fairlab.settings.distillation import (
    DISTILLATIONS,
    OF_TEACHERS,
    AnyDistillation,
    Distillations,
    MSTDistillSettings,
)
from fairlab.settings.grid import Grid, loss_in_grid, training_in_grid
from fairlab.settings.loss import LOSSES, AnyLoss, ElasticArcFaceSettings, for_loss
from fairlab.settings.parsing import S, parse, unknown_setting
from fairlab.settings.protocols import Drawing, Protocols
from fairlab.settings.recipe import Measuring, Overlap, Recipe
from fairlab.settings.repair import AnyRepair
from fairlab.settings.training import PLAIN_STUDENT, Training

Role = Literal[
    "dataset",
    "model",
    "teacher",
    "adaptor",
    "baseline",
    "student",
    "embedding",
    "evaluation",
    "projection",
    "comparison",
]
Arm = Literal["specialised", "balanced"]
View = Literal["plain", "flip"]


class Evaluation(Settings):
    """Numbers from pairs."""

    fmr_targets: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (0.1, 0.01, 0.001),
        min_length=1,
        max_length=20,
        description="False match rates (all groups pooled) at which thresholds are set.",
    )
    bootstrap: int = Field(1000, ge=100, le=100_000, description="Draws of identities for an interval.")
    seed: Seed = Field(0, description="Seed of those draws.")

    @model_validator(mode="after")
    def _rates_are_fractions(self) -> Self:
        if any(not 0 <= rate < 1 for rate in self.fmr_targets) or len(set(self.fmr_targets)) < len(self.fmr_targets):
            raise ValueError("fmr_targets must be different fractions from 0 to below 1, e.g. 0.01 for 1 %")
        return self


MOST_POINTS = 1_000_000
"""Images that a map can show: beyond, neither a browser's memory nor an evening is enough."""


class Projection(Settings):
    """The map of a space (UMAP)."""

    max_points: int = Field(
        4000,
        ge=50,
        le=MOST_POINTS,
        description="Images laid out; of more, people are drawn whole, the same share of every group.",
    )
    neighbours: int = Field(15, ge=2, le=200, description="Neighbours that UMAP keeps close.")
    min_dist: float = Field(0.1, ge=0.0, le=1.0, description="How tightly points may be packed.")
    epochs: int = Field(200, ge=10, le=10_000, description="UMAP's optimisation passes.")
    landmarks: int = Field(
        10_000,
        ge=100,
        le=50_000,
        description="Images that UMAP lays out where there are over twice as many; the others are placed beside them.",
    )
    passes: int = Field(
        100, ge=10, le=10_000, description="Passes that move placed images to their neighbours, after landmarks."
    )
    seed: Seed = Field(0, description="Seed of the map; the same seed gives the same map on the same machine.")


class Moved(Settings):
    """What moved between two spaces of the same images."""

    neighbours: int = Field(10, ge=1, le=200, description="Nearest neighbours that are compared.")
    max_images: int = Field(
        20_000, ge=50, le=200_000, description="Images measured; of more, people are drawn with all their images."
    )
    splits: Names = Field((), description="Parts of the data that are compared; empty: all.")
    seed: Seed = Field(0, description="Seed of the people drawn, and of those whom an interval leaves out.")


class TeacherSettings(Settings):
    """Teachers: one per group (specialised), or one per balanced part of all groups (balanced)."""

    backbone: AnyBackbone = Backbone()
    loss: AnyLoss = ElasticArcFaceSettings()
    training: Training = Training()


class AdaptorSettings(Settings):
    """The adaptor that makes the common space."""

    adaptor: Adaptor = Adaptor()
    loss: AnyLoss = ElasticArcFaceSettings(sigma_rad=0.0125)
    training: Training = Training(base_lr=1.0, epochs=26, drop_epochs=(7, 13, 19, 24), flip=False)


class StudentSettings(Settings):
    """Students: with and without distillation, otherwise alike."""

    backbone: AnyBackbone = Backbone()
    loss: AnyLoss = ElasticArcFaceSettings()
    distillation: Distillations = Distillations()
    training: Training = Training()


class Study(Settings):
    """A named experiment: the grid of runs that a preset starts."""

    title: Name = Field("Study", description="What the study is called.")
    summary: Text = Field("", description="What it shows, in a sentence or two.")
    paper: Text = Field("", description="Where it comes from.")
    needs: Text = Field("", description="Data and machine it needs.")
    order: int = Field(100, ge=0, le=1_000_000, description="Place in the list of presets.")
    demo: DemoData | None = Field(
        None, description="Generated faces to use. Empty: none, the study learns from the data set named below."
    )
    dataset: Name = Field("", description="A data set of the workspace, when no generated faces are used.")
    seeds: Seeds = Field((0,), min_length=1, description="The whole study is repeated with each seed.")
    arms: tuple[Arm, ...] = Field(
        ("specialised", "balanced"),
        max_length=2,
        description="Kinds of teachers: one per group, or as many on balanced parts (control).",
    )
    adaptors: Names = Field(
        ("sl",), description="Common spaces over each set of teachers: trained adaptors, or rules without training."
    )
    students: Names = Field(
        ("eaf_kd",),
        description="Methods whose students learn from a common space, e.g. a_kd: the space only; eaf_kd: identities too; mst_distill learns from all teachers of an arm instead.",
    )
    plain_student: bool = Field(True, description="Also train the same student without distillation.")
    concatenation: bool = Field(True, description="Also evaluate the concatenation of the teachers' embeddings.")
    tested_on: Names = Field(
        (),
        description="Further data sets with pairs on which every model of the study is evaluated, e.g. RFW, LFW, CALFW; Compare shows all of them in one table.",
    )
    grid: Grid = Grid()
    held_out: float | None = Field(
        None,
        gt=0.0,
        le=0.5,
        description="Share of every group's training people that no run of a seed learns from, to validate on. Empty: nobody is held out, and the data set's own validation pairs are used.",
    )
    teacher: TeacherSettings = TeacherSettings()
    adaptor: AdaptorSettings = AdaptorSettings()
    student: StudentSettings = StudentSettings()
    evaluation: Evaluation = Evaluation()
    projection: Projection = Projection()

    @model_validator(mode="after")
    def _adaptor_settings_are_used(self) -> Self:
        about, usual = self.adaptor.adaptor, Adaptor()
        if about.name != usual.name:
            raise ValueError("adaptor.adaptor.name is not used in a study: name the common spaces in adaptors")
        for field, users in ADAPTOR_OF.items():
            if getattr(about, field) != getattr(usual, field) and not set(users) & set(self.adaptors):
                who, they = (" and ".join(users), "use" if len(users) > 1 else "uses")
                it = "they are" if len(users) > 1 else "it is"
                raise ValueError(f"only {who} {they} adaptor.adaptor.{field}, and {it} not among adaptors")
        return self

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.demo is None and not self.dataset:
            raise ValueError("a study needs data: give demo settings or the name of a data set")
        if self.demo is not None and self.dataset:
            raise ValueError(
                f"generated faces (demo) and the data set {self.dataset!r} exclude each other: leave one of them out"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ")
        teachers = self.arms or self.grid.given
        if not teachers and not self.plain_student and not self.grid.relatives:
            raise ValueError("nothing to do: choose an arm of teachers, a relative or the plain student")
        of_spaces = [name for name in self.students if name not in OF_TEACHERS]
        if of_spaces and not (teachers and self.adaptors):
            raise ValueError("a distilled student needs an arm of teachers and an adaptor")
        if self.students and not teachers:
            raise ValueError(
                f"students: {self.students[0]} learns from all teachers of an arm, and there are none: choose arms, or name "
                "models in grid.given"
            )
        if misplaced := [name for name in self.grid.relatives if name in OF_TEACHERS]:
            raise ValueError(
                f"grid.relatives: {misplaced[0]} learns from all teachers of an arm, not from one: name it in students"
            )
        strangers = [name for name in self.grid.distil_from if name not in self.adaptors]
        if strangers:
            raise ValueError(f"grid.distil_from names {strangers[0]!r}, which is not among adaptors")
        return self

    @property
    def student_methods(self) -> tuple[str, ...]:
        """Methods of the students, each once: PLAIN_STUDENT for the one without distillation."""
        plain = (PLAIN_STUDENT,) if self.plain_student else ()
        return tuple(dict.fromkeys((*self.students, *self.grid.relatives, *plain)))

    @model_validator(mode="after")
    def _every_training_is_of_a_student(self) -> Self:
        for method, changes in self.grid.training.items():
            if method not in self.student_methods:
                raise ValueError(
                    f"grid.training.{method} is set, and the study trains no {method} student; it trains: "
                    f"{', '.join(self.student_methods) or 'none'}"
                )
            if unknown := [field for field in changes if field not in Training.model_fields]:
                raise ValueError(unknown_setting(f"grid.training.{method}.{unknown[0]}", Training.model_fields))
            try:
                training_in_grid(self.grid, self.student.training, method)
            except FairLabError as error:
                raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _every_method_is_trained(self) -> Self:
        """The table of a method that no student has would be ignored in silence."""
        methods = (*self.students, *self.grid.relatives)
        for name, kind in DISTILLATIONS.items():
            if name not in methods and self.student.distillation.of(name) != kind():
                raise ValueError(
                    f"student.distillation.{name} is set, and the study trains no {name} student; it trains: "
                    f"{', '.join(methods) or 'none with distillation'}"
                )
        return self

    @model_validator(mode="after")
    def _routing_has_its_epochs(self) -> Self:
        if "mst_distill" in self.students:
            self.student.distillation.mst_distill.check_epochs(self.student.training.epochs)
        return self

    @model_validator(mode="after")
    def _every_loss_is_compared(self) -> Self:
        for name, changes in self.grid.loss.items():
            if name not in self.grid.losses:
                raise ValueError(
                    f"grid.loss.{name} is set, and grid.losses does not name {name!r}; it names: "
                    f"{', '.join(self.grid.losses) or 'none'}"
                )
            if name not in LOSSES:
                continue  # the plan refuses it, as one of grid.losses
            known = LOSSES[name].model_fields
            if unknown := [field for field in changes if field not in known or field == "name"]:
                raise ValueError(unknown_setting(f"grid.loss.{name}.{unknown[0]}", known, name))
            try:
                for part in (self.teacher, self.student):
                    loss_in_grid(self.grid, part.loss, name)
            except FairLabError as error:
                raise ValueError(str(error)) from error
        return self


class Run(Settings):
    """Everything one run needs to know besides its parents. None: its role has no use for these settings."""

    role: Role
    method: Name
    seed: Seed = 0
    data: Data
    demo: DemoData | None = None
    source: Source | None = None
    model: ModelFile | None = None
    folder: StudyFolder | None = None
    recipe: Recipe | None = None
    overlap: Overlap | None = None
    drawing: Drawing | None = None
    measuring: Measuring | None = None
    backbone: AnyBackbone | None = None
    adaptor: Adaptor | None = None
    loss: AnyLoss | None = None
    distillation: AnyDistillation | None = None
    training: Training | None = None
    evaluation: Evaluation | None = None
    protocols: Protocols | None = None
    repair: AnyRepair | None = None
    projection: Projection | None = None
    moved: Moved | None = None

    @model_validator(mode="after")
    def _distillation_is_the_methods(self) -> Self:
        if self.distillation is not None and self.distillation.name != self.method:
            raise ValueError(f"method {self.method} does not use the settings of {self.distillation.name}")
        if isinstance(self.distillation, MSTDistillSettings) and self.training is not None:
            self.distillation.check_epochs(self.training.epochs)
        return self


def changed(settings: S, dials: Mapping[str, Any]) -> S:
    """`settings` with dotted ones changed, e.g. of a study {"student.training.epochs": 5}. Raises FairLabError.

    A change of loss.name or backbone.name comes first, whatever the order: it decides which other settings there are.
    """
    values = settings.model_dump()
    for dotted, value in sorted(dials.items(), key=lambda dial: not _turning(dial[0])):
        table = values
        *parents, last = dotted.split(".")
        of_grid = isinstance(settings, Study) and parents[:2] in (["grid", "loss"], ["grid", "training"])
        for parent in parents:
            if of_grid and parents[-1] == parent:
                table.setdefault(parent, {})
            if not isinstance(table.get(parent), dict):
                kind = type(settings).__name__.lower()
                raise FairLabError(f"there is no group of settings {dotted.rpartition('.')[0]!r} in a {kind}")
            table = table[parent]
        if (turned := _turning(dotted)) and "name" in table:
            other = turned(table, value)
            table.clear()
            table |= other
            continue
        known: Collection[str] = table
        if parents[-1:] == ["loss"] and not of_grid:  # the table may be unknown or partial: its name says what there is
            loss = LOSSES.get(str(table.get("name")))
            known = loss.model_fields if loss else [last]  # parse says which losses there are
        if parents[-1:] == ["backbone"]:
            known = backbone_kind(table.get("name")).model_fields
        if last not in known and not of_grid:
            of = table.get("name", "") if {"loss", "distillation", "backbone"} & set(parents) else ""
            raise FairLabError(unknown_setting(dotted, known, str(of)))
        table[last] = value
    if (
        isinstance(settings, Study)
        and dials.get("dataset")
        and not any(f"{name}.".startswith("demo.") for name in dials)
    ):
        values["demo"] = None  # a data set that is named takes the place of a preset's generated faces
    if (
        isinstance(settings, Study)
        and isinstance(values["grid"], dict)
        and (gone := _without_students(settings, dials))
    ):
        kept = {name: table for name, table in settings.grid.training.items() if name not in gone}
        values["grid"]["training"] = kept
    return parse(type(settings), values, "these settings do not go together")


def _without_students(study: Study, dials: Mapping[str, Any]) -> list[str]:
    """Methods that a preset has training settings for and whose students the dials take away: the settings go with them."""
    if any(name.startswith("grid.training") for name in dials):
        return []  # what is asked for is never dropped, but refused
    names = dials.get("students", study.students), dials.get("grid.relatives", study.grid.relatives)
    trained = [name for some in names if isinstance(some, tuple | list) for name in some]
    trained += [PLAIN_STUDENT] if dials.get("plain_student", study.plain_student) else []
    return [method for method in study.grid.training if method not in trained]


TURNED: Mapping[str, Callable[[Mapping[str, Any], Any], dict[str, Any]]] = {
    "loss": for_loss,
    "backbone": for_backbone,
}
"""Groups of settings in which `name` decides what others there are: (table, name) to the table for that name."""


def _turning(dotted: str) -> Callable[[Mapping[str, Any], Any], dict[str, Any]] | None:
    """What a change of this setting does to its group; None where it changes nothing but itself."""
    *_, group, last = ["", *dotted.split(".")]
    return TURNED.get(group) if last == "name" else None


def laid_over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A whole table of settings with `changes` laid over it, table by table; another loss, or network, brings its own settings."""
    result = dict(table)
    for name, value in changes.items():
        old = result.get(name)
        if not (isinstance(old, Mapping) and isinstance(value, Mapping)):
            result[name] = value
            continue
        if name in TURNED and value.get("name", old.get("name")) != old.get("name"):
            old = TURNED[name](old, value["name"])
        result[name] = laid_over(old, value)
    return result
