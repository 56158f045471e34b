"""From a study to its plan: teachers, common spaces and students, for every combination that the grid asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlab.errors import FairLabError
from fairlab.plan import choices
from fairlab.plan.of_teachers import check_teachers
from fairlab.plan.plan import Builder, Plan
from fairlab.plan.portions import Faces, Portion, check_pairs, faces
from fairlab.plan.records import check_model, cross_record, length_of
from fairlab.presets import load_preset
from fairlab.settings.distillation import OF_TEACHERS, Distillation, HeirSettings
from fairlab.settings.loss import Loss
from fairlab.settings.study import (
    Data,
    Role,
    Run,
    StudentSettings,
    Study,
    TeacherSettings,
    backbone_in_grid,
    changed,
    loss_in_grid,
    training_in_grid,
)
from fairlab.settings.training import PLAIN_STUDENT
from fairlab.store.runs import SPACES, RunRecord, read_run, state
from fairlab.workspace import Workspace

EVERYONE = "Teacher of everyone"
HEAD = "weights/head.safetensors"
"""Where a run keeps its classifier."""


@dataclass(frozen=True)
class Space:
    """A space that students learn from; words: how their titles name it; head: has it a classifier of everybody?

    dim: length of its embeddings, where that is known; embedded: the job that embeds the study's faces with it, where it
    learnt from others.
    """

    record: RunRecord
    words: str
    head: bool
    dim: int | None
    embedded: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        return self.record.run_id


@dataclass(frozen=True)
class Variant:
    """One choice of network, loss and faces for students; words: what of it is varied in the study."""

    settings: StudentSettings
    portion: Portion
    loss: str
    words: tuple[str, ...]


def expand(study: Study, preset: str, workspace: Workspace) -> Plan:
    """The runs of a study. Raises FairLabError for settings that cannot work, with the reason."""
    check_names(study)
    for name in study.grid.given:
        record = read_run(workspace, name)
        check_model(record)
        if state(record.folder).status != "done":
            raise FairLabError(f"grid.given: {name} is not finished; `fairlab models list` lists the models that are")
    builder = Builder(workspace, study, preset)
    people = faces(builder)
    for number, seed in enumerate(study.seeds):
        _Seed(builder, people, seed, number == 0).expand()
    check_pairs(builder, people)
    return Plan(builder.study_id, preset, study, tuple(builder.runs.values()), tuple(dict.fromkeys(builder.notes)))


def plan_preset(workspace: Workspace, preset: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """The runs of a preset, with dotted settings changed, e.g. {"student.training.epochs": 5}.

    Raises FairLabError for a preset or a setting that does not exist, and for settings that cannot work.
    """
    return expand(changed(load_preset(preset), changes or {}), preset, workspace)


def check_names(study: Study) -> None:
    """Refuse architectures, common spaces, methods and losses of the grid that do not exist, naming those that do."""
    choices.check("teacher.backbone.name", [study.teacher.backbone.name], choices.backbones())
    choices.check("student.backbone.name", [study.student.backbone.name], choices.backbones())
    choices.check("grid.backbones", study.grid.backbones, choices.backbones())
    choices.check("grid.losses", study.grid.losses, choices.losses())
    choices.check("adaptors", study.adaptors, choices.common_spaces())
    choices.check("students", study.students, choices.all_student_methods())
    choices.check("grid.relatives", study.grid.relatives, choices.student_methods())


class _Seed:
    """The runs of one seed."""

    def __init__(self, builder: Builder, people: Faces, seed: int, first: bool) -> None:
        self.builder, self.study, self.grid = builder, builder.study, builder.study.grid
        self.people, self.seed, self.first = people, seed, first
        self.models: list[str] = []

    def expand(self) -> None:
        spaces: list[Space] = []
        sets: dict[str, list[str]] = {}
        for arm in self.study.arms:
            sets[arm] = self._arm(arm)
            spaces += self._common_spaces(sets[arm], arm)
        if self.grid.given:
            sets["given"] = self._given()
            spaces += self._common_spaces(sets["given"], "given")
        variants = self._variants()
        of_spaces = tuple(name for name in self.study.students if name not in OF_TEACHERS)
        pupils: list[tuple[tuple[str, ...], Space, str | None]] = [(of_spaces, space, None) for space in spaces]
        pupils += [(self.grid.relatives, space, loss) for loss, space in self._everyone(variants)]
        for variant in variants:
            for methods, space, loss in pupils:
                if loss in (None, variant.loss):
                    for method in methods:
                        self._student(method, space, variant)
            for words, teachers in sets.items():
                for method in (name for name in self.study.students if name in OF_TEACHERS):
                    self._student_of_all(method, words, teachers, variant)
            if self.study.plain_student:
                title = _titled("Student without KD", (), variant.words)
                plain = self._add_network("student", PLAIN_STUDENT, title, variant, variant.portion.needed)
                spaces_there = [space for _, space, loss in pupils if loss in (None, variant.loss)]
                for space in spaces_there[-1:]:
                    self._against(space, plain)
        if self.grid.maps == "all" or (self.grid.maps == "first seed" and self.first):
            data = Data(dataset=self.people.dataset)
            config = Run(role="projection", method="umap", seed=self.seed, data=data, projection=self.study.projection)
            self.builder.add("Maps", config, tuple(self.models))

    def _arm(self, arm: str) -> list[str]:
        """A set of teachers: one for each group, or as many on balanced parts."""
        people, groups = self.people, list(self.people.sizes)
        teachers = []
        for number, group in enumerate(groups):
            if arm == "specialised":
                title, data, images = (
                    f"Teacher {group}",
                    Data(dataset=people.dataset, groups=(group,)),
                    people.sizes[group],
                )
            else:
                title = f"Balanced teacher {number + 1}"
                data = Data(dataset=people.dataset, parts=len(groups), part=number)
                images = sum(people.sizes.values()) // len(groups)
            config = network("teacher", "classifier", self.seed, data, self.study.teacher, self.study)
            teachers.append(self.builder.add(title, config, people.needed, images))
        self.models += teachers
        return teachers

    def _given(self) -> list[str]:
        """The models that are there already, and last the job that embeds the study's faces with them."""
        self.models += self.grid.given
        return [*self.grid.given, self._given_embedded()]

    def _given_embedded(self) -> str:
        return self._embedded("given", self.grid.given, self.people.dataset, self.people.needed)

    def _embedded(self, words: str, models: Sequence[str], dataset: str, needed: tuple[str, ...]) -> str:
        """The job that embeds a data set with models that did not learn from it."""
        config = Run(role="embedding", method="embed", data=Data(dataset=dataset))
        return self.builder.add(f"Embeddings ({words})", config, (*models, *needed))

    def _common_spaces(self, teachers: list[str], arm: str) -> list[Space]:
        """What is made of a set of teachers; returns the spaces that teach students."""
        study, everyone = self.study, sum(self.people.sizes.values())
        data = Data(dataset=self.people.dataset)
        if study.concatenation:
            config = Run(
                role="baseline", method="concatenation", seed=self.seed, data=data, evaluation=study.evaluation
            )
            self.models.append(self.builder.add(f"Concatenation ({arm})", config, tuple(teachers)))
        known, spaces = choices.common_spaces(), []
        for name in study.adaptors:
            words = choices.title(name, known)
            if known[name].get("needs_group") and not self._own_teachers(teachers):
                self.builder.notes.append(
                    f"{words} is left out over {arm} teachers: it needs one teacher that is specialised on each group"
                )
                continue
            if known[name].get("rule"):
                config = Run(role="baseline", method=name, seed=self.seed, data=data, evaluation=study.evaluation)
                run_id = self.builder.add(f"{words} ({arm})", config, tuple(teachers))
            else:
                settings = study.adaptor
                config = Run(
                    role="adaptor",
                    method="common_space",
                    seed=self.seed,
                    data=data,
                    adaptor=settings.adaptor.model_copy(update={"name": name}),
                    loss=settings.loss,
                    training=settings.training,
                    evaluation=study.evaluation,
                )
                run_id = self.builder.add(f"Common space ({words}, {arm})", config, tuple(teachers), everyone)
            self.models.append(run_id)
            if name in (self.grid.distil_from or study.adaptors):
                dim = study.adaptor.adaptor.embedding_dim if config.role == "adaptor" else self._length(teachers)
                record = self.builder.runs[run_id].record
                spaces.append(Space(record, f"{words}, {arm}", head=config.role == "adaptor", dim=dim))
        return spaces

    def _own_teachers(self, teachers: Sequence[str]) -> bool:
        """Is there exactly one of them for each group that learnt from this group alone?"""
        taught = [self._record(name).config.data.groups for name in teachers]
        return all(taught.count((group,)) == 1 for group in self.people.sizes)

    def _record(self, name: str) -> RunRecord:
        """A run of this plan, or one that is there already."""
        planned = self.builder.runs.get(name)
        return planned.record if planned else read_run(self.builder.workspace, name)

    def _everyone(self, variants: Sequence[Variant]) -> list[tuple[str, Space]]:
        """For each loss, the one teacher that the relatives' students learn from."""
        if not self.grid.relatives:
            return []
        losses = dict.fromkeys(variant.loss for variant in variants)
        if len(self.grid.given) == 1:
            record = read_run(self.builder.workspace, self.grid.given[0])
            head = (record.folder / HEAD).exists()
            space = Space(record, "given", head, self._length([record.run_id]), (self._given_embedded(),))
            return [(loss, space) for loss in losses]
        found = []
        for loss in losses:
            settings = self.study.teacher
            words: tuple[str, ...] = ()
            if self.grid.losses:
                settings = settings.model_copy(update={"loss": self._loss(settings.loss, loss)})
                words = (choices.title(loss, choices.losses()),) if len(losses) > 1 else ()
            data = Data(dataset=self.people.dataset)
            config = network("teacher", "classifier", self.seed, data, settings, self.study)
            images = sum(self.people.sizes.values())
            run_id = self.builder.add(_titled(EVERYONE, (), words), config, self.people.needed, images)
            self.models.append(run_id)
            record = self.builder.runs[run_id].record
            found.append((loss, Space(record, "", head=True, dim=settings.backbone.embedding_dim)))
        return found

    def _length(self, teachers: Sequence[str]) -> int | None:
        """Length of the embeddings of these models; None where they differ or are not known yet."""
        lengths = set()
        for name in teachers:
            record = self._record(name)
            if record.role in SPACES:
                settings = record.config.backbone or record.config.adaptor
                lengths.add(settings.embedding_dim if settings else length_of(record))
        return lengths.pop() if len(lengths) == 1 else None

    def _against(self, space: Space, student: str) -> None:
        """Also judge a student against a gallery that a space embedded, if asked for; a note says why it cannot be."""
        if not self.grid.cross_model:
            return
        record = self.builder.runs[student].record
        settings = record.config.backbone
        own = settings.embedding_dim if settings else None
        if not choices.student_methods().get(record.method, {}).get("in_space") and own != space.dim:
            self.builder.notes.append(
                f"{record.title} is not evaluated against a gallery by {space.record.title}: their embedding lengths "
                f"are {own} and {space.dim or 'unknown'}"
            )
            return
        cross = cross_record(self.builder.workspace, space.record, record, self.people.dataset, self.study.evaluation)
        self.builder.add(cross.title, cross.config, cross.parents)

    def _variants(self) -> list[Variant]:
        study, found = self.study, []
        backbones = self.grid.backbones or (study.student.backbone.name,)
        losses = self.grid.losses or (study.student.loss.name,)
        for portion in self.people.portions:
            for backbone in backbones:
                for loss in losses:
                    network_settings = study.student.backbone
                    if self.grid.backbones:
                        facts = choices.backbones()[backbone]
                        network_settings = backbone_in_grid(network_settings, backbone, facts)
                    settings = study.student.model_copy(
                        update={
                            "backbone": network_settings,
                            "loss": self._loss(study.student.loss, loss),
                        }
                    )
                    words = (
                        *((choices.title(backbone, choices.backbones()),) if len(backbones) > 1 else ()),
                        *((choices.title(loss, choices.losses()),) if len(losses) > 1 else ()),
                        *((portion.name,) if len(self.people.portions) > 1 or not portion.real else ()),
                    )
                    found.append(Variant(settings, portion, loss, words))
        return found

    def _loss(self, usual: Loss, name: str) -> Loss:
        """The settings of one loss of the grid; without a grid of losses there is only the usual one."""
        return loss_in_grid(self.grid, usual, name) if self.grid.losses else usual

    def _student(self, method: str, space: Space, variant: Variant) -> None:
        """A student of a space, where that can be; where not, a note says why."""
        known, portion = choices.student_methods(), variant.portion
        label = choices.title(method, known)
        about = variant.settings.distillation.of(method)
        if known[method].get("inherits") and not (isinstance(about, HeirSettings) and about.classifier == "centroids"):
            reason = (
                "its teacher has no classifier to inherit"
                if not space.head
                else f"its teacher's classifier does not know the people of the {portion.name} faces"
                if not portion.real
                else ""
            )
            if reason:
                self.builder.notes.append(
                    f"{_titled(f'Student {label}', (space.words,), variant.words)} is left out: {reason}"
                )
                return
        parents = (space.run_id, *space.embedded)
        if portion.data.dataset != self.people.dataset:
            where = space.record.title
            parents = (
                space.run_id,
                self._embedded(f"{portion.name}, {where}", [space.run_id], portion.data.dataset, portion.needed),
            )
        title = _titled(f"Student {label}", (space.words,), variant.words)
        self._against(space, self._add_network("student", method, title, variant, parents))

    def _student_of_all(self, method: str, arm: str, teachers: list[str], variant: Variant) -> None:
        """A student of all teachers of an arm at once."""
        label, portion = choices.title(method, choices.methods_of_teachers()), variant.portion
        records = [record for record in map(self._record, teachers) if record.role in SPACES]
        check_teachers(method, arm, {record.title: self._length([record.run_id]) for record in records}, self.study)
        parents = tuple(teachers)
        if portion.data.dataset != self.people.dataset:
            models = [record.run_id for record in records]
            parents = (
                *models,
                self._embedded(f"{portion.name}, {arm} teachers", models, portion.data.dataset, portion.needed),
            )
        self._add_network("student", method, _titled(f"Student {label}", (arm,), variant.words), variant, parents)

    def _add_network(self, role: Role, method: str, title: str, variant: Variant, parents: tuple[str, ...]) -> str:
        distillation = variant.settings.distillation.of(method)
        training = training_in_grid(self.grid, variant.settings.training, method)
        settings = variant.settings.model_copy(update={"training": training})
        config = network(role, method, self.seed, variant.portion.data, settings, self.study, distillation)
        run_id = self.builder.add(title, config, parents, variant.portion.images)
        self.models.append(run_id)
        return run_id


def _titled(title: str, inside: Sequence[str], varied: Sequence[str]) -> str:
    """A title with what tells it from its like in brackets."""
    words = "; ".join(filter(None, (", ".join(filter(None, inside)), ", ".join(varied))))
    return f"{title} ({words})" if words else title


def network(
    role: Role,
    method: str,
    seed: int,
    data: Data,
    settings: TeacherSettings | StudentSettings,
    study: Study,
    distillation: Distillation | None = None,
) -> Run:
    """The settings of a run that trains a network on images."""
    identities = method == "classifier" or choices.all_student_methods()[method].get("identities", True)
    return Run(
        role=role,
        method=method,
        seed=seed,
        data=data,
        backbone=settings.backbone,
        loss=settings.loss if identities else None,
        distillation=distillation,
        training=settings.training,
        evaluation=study.evaluation,
    )
