"""The students of one seed: of every network, loss and portion of faces, with and without distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairlab.plan import choices
from fairlab.plan.leaving_out import left_out
from fairlab.plan.of_teachers import check_teachers
from fairlab.plan.portions import Portion
from fairlab.plan.records import cross_record
from fairlab.plan.repetition import Repetition, Space, titled
from fairlab.settings.distillation import OF_TEACHERS, HeirSettings
from fairlab.settings.grid import backbone_in_grid, loss_in_grid, training_in_grid
from fairlab.settings.study import StudentSettings, Study
from fairlab.settings.training import PLAIN_STUDENT
from fairlab.store.runs import SPACES


@dataclass(frozen=True)
class Variant:
    """One choice of network, loss and faces for students; words: what of it is varied in the study."""

    settings: StudentSettings
    portion: Portion
    loss: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """Methods whose students learn from one space; loss: only students of this identity loss, None: all."""

    methods: tuple[str, ...]
    space: Space
    loss: str | None = None

    def fits(self, variant: Variant) -> bool:
        return self.loss in (None, variant.loss)


def variants(study: Study, portions: Sequence[Portion]) -> list[Variant]:
    """Every combination of faces, network and loss of the study's grid."""
    backbones = study.grid.backbones or (study.student.backbone.name,)
    losses = study.grid.losses or (study.student.loss.name,)
    several = len(portions) > 1
    return [
        Variant(
            _settings(study, backbone, loss),
            portion,
            loss,
            (
                *((choices.title(backbone, choices.backbones()),) if len(backbones) > 1 else ()),
                *((choices.title(loss, choices.losses()),) if len(losses) > 1 else ()),
                *((portion.name,) if several or not portion.real else ()),
            ),
        )
        for portion in portions
        for backbone in backbones
        for loss in losses
    ]


def _settings(study: Study, backbone: str, loss: str) -> StudentSettings:
    """The students' settings with a network and a loss of the grid; without a grid of them there are only the usual ones."""
    usual, grid = study.student, study.grid
    network = usual.backbone
    if grid.backbones:
        network = backbone_in_grid(network, backbone, choices.backbones()[backbone])
    chosen = loss_in_grid(grid, usual.loss, loss) if grid.losses else usual.loss
    return usual.model_copy(update={"backbone": network, "loss": chosen})


def students(
    repetition: Repetition, kinds: Sequence[Variant], lessons: Sequence[Lesson], teachers: Mapping[str, list[str]]
) -> None:
    """Enter the students of all lessons in every variant, those of all teachers of an arm at once, and the one without
    distillation, if asked for. teachers: of each arm, by its name.
    """
    of_teachers = [name for name in repetition.study.students if name in OF_TEACHERS]
    for variant in kinds:
        fitting = [lesson for lesson in lessons if lesson.fits(variant)]
        for lesson in fitting:
            for method in lesson.methods:
                if left_out(repetition.builder, variant.portion.name, method):
                    continue
                _taught(repetition, method, lesson.space, variant)
        for kind in teachers:
            for method in of_teachers:
                if not left_out(repetition.builder, variant.portion.name, method):
                    _taught_by_all(repetition, method, kind, teachers[kind], variant)
        if repetition.study.plain_student and not left_out(repetition.builder, variant.portion.name, PLAIN_STUDENT):
            title = titled("Student without KD", (), variant.words)
            plain = _network(repetition, PLAIN_STUDENT, title, variant, variant.portion.needed)
            for lesson in fitting[-1:]:
                _against(repetition, lesson.space, plain)


def _taught(repetition: Repetition, method: str, space: Space, variant: Variant) -> None:
    """A student of a space, where that can be; where not, a note says why."""
    portion = variant.portion
    title = titled(f"Student {choices.title(method, choices.student_methods())}", (space.words,), variant.words)
    if reason := _hindrance(method, space, variant):
        repetition.builder.notes.append(f"{title} is left out: {reason}")
        return
    parents: tuple[str, ...] = (space.run_id, *space.embedded)
    if portion.data.dataset != repetition.people.dataset:
        words = f"{portion.name}, {space.record.title}"
        parents = (
            space.run_id,
            repetition.add_embedded(words, [space.run_id], portion.data.dataset, portion.needed),
        )
    _against(repetition, space, _network(repetition, method, title, variant, parents))


def _taught_by_all(repetition: Repetition, method: str, arm: str, teachers: list[str], variant: Variant) -> None:
    """A student of all teachers of an arm at once."""
    portion = variant.portion
    records = [record for record in map(repetition.record, teachers) if record.role in SPACES]
    lengths = {record.title: repetition.length([record.run_id]) for record in records}
    check_teachers(method, arm, lengths, repetition.study)
    parents = tuple(teachers)
    if portion.data.dataset != repetition.people.dataset:
        models, words = [record.run_id for record in records], f"{portion.name}, {arm} teachers"
        parents = (*models, repetition.add_embedded(words, models, portion.data.dataset, portion.needed))
    title = titled(f"Student {choices.title(method, choices.methods_of_teachers())}", (arm,), variant.words)
    _network(repetition, method, title, variant, parents)


def _hindrance(method: str, space: Space, variant: Variant) -> str:
    """Why a method cannot train a student of a space; "" where it can."""
    about = variant.settings.distillation.of(method)
    centroids = isinstance(about, HeirSettings) and about.classifier == "centroids"
    if not choices.student_methods()[method].get("inherits") or centroids:
        return ""
    if not space.head:
        return "its teacher has no classifier to inherit"
    if not variant.portion.real:
        return f"its teacher's classifier does not know the people of the {variant.portion.name} faces"
    return ""


def _network(repetition: Repetition, method: str, title: str, variant: Variant, parents: tuple[str, ...]) -> str:
    training = training_in_grid(repetition.study.grid, variant.settings.training, method)
    settings = variant.settings.model_copy(update={"training": training})
    config = repetition.network("student", method, variant.portion.data, settings, settings.distillation.of(method))
    return repetition.add_model(title, config, parents, variant.portion.images)


def _against(repetition: Repetition, space: Space, student: str) -> None:
    """Also judge a student against a gallery that a space embedded, if asked for; a note says why it cannot be."""
    study, builder = repetition.study, repetition.builder
    if not study.grid.cross_model:
        return
    record = repetition.record(student)
    settings = record.config.backbone
    own = settings.embedding_dim if settings else None
    if not choices.student_methods().get(record.method, {}).get("in_space") and own != space.dim:
        builder.notes.append(
            f"{record.title} is not evaluated against a gallery by {space.record.title}: their embedding lengths "
            f"are {own} and {space.dim or 'unknown'}"
        )
        return
    cross = cross_record(builder.workspace, space.record, record, repetition.people.dataset, study.evaluation)
    builder.add(cross.title, cross.config, cross.parents)
