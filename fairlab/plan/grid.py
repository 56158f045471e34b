"""From a study to its plan: teachers, common spaces and students, for every combination that the grid asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlab.errors import FairLabError
from fairlab.plan import choices
from fairlab.plan.axes import combinations
from fairlab.plan.common_spaces import common_spaces
from fairlab.plan.leaving_out import check as check_left_out
from fairlab.plan.merging import Draft, Merger
from fairlab.plan.plan import Builder, Plan
from fairlab.plan.portions import Faces, check_pairs
from fairlab.plan.records import check_model
from fairlab.plan.repetition import Repetition
from fairlab.plan.students import Lesson, students, variants
from fairlab.plan.teachers import arm, given, of_everyone
from fairlab.plan.tested_on import add_evaluations, check_tested_on
from fairlab.presets import load_preset
from fairlab.settings.distillation import OF_TEACHERS
from fairlab.settings.study import Data, Run, Study, changed
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace


def expand(study: Study, preset: str, workspace: Workspace) -> Plan:
    """The runs of a study. Raises FairLabError for settings that cannot work, with the reason."""
    check_given(study, workspace)
    check_tested_on(study, workspace)
    drafts = []
    for combination in combinations(study):
        check_names(combination.study)
        check_left_out(combination.study)
        drafts.append(Draft.of(combination.values, Builder(workspace, combination.study, preset)))
    builder = Builder(workspace, study, preset)
    merger = Merger(builder, drafts)
    merger.enter()
    for seed in study.seeds:
        models = [repeat(draft.builder, draft.people, seed) for draft in drafts]
        merger.enter()
        entered = merger.ids(models)
        add_evaluations(builder, entered)
        _maps(builder, drafts[0].people, seed, entered)
    for draft in drafts:
        check_pairs(draft.builder, draft.people)
    met = set().union(*(draft.builder.left_out for draft in drafts))
    for place in range(len(study.grid.leave_out)):
        if place not in met:
            raise FairLabError(f"grid.leave_out: table {place + 1} leaves out no student of this study")
    if unused := merger.unused():
        raise FairLabError(f"grid.vary: {unused[0]} changes no run of this study")
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


def check_given(study: Study, workspace: Workspace) -> None:
    """Refuse given models that are no models, have no network, or are not finished."""
    for name in study.grid.given:
        record = read_run(workspace, name)
        check_model(record)
        if state(record.folder).status != "done":
            raise FairLabError(f"grid.given: {name} is not finished; `fairlab models list` lists the models that are")


def repeat(builder: Builder, people: Faces, number: int) -> list[str]:
    """Enter all runs of one seed; returns its models, in their order."""
    repetition, study = Repetition(builder, people, number), builder.study
    spaces, teachers = [], {}
    for kind in (*study.arms, *(["given"] if study.grid.given else [])):
        teachers[str(kind)] = given(repetition) if kind == "given" else arm(repetition, kind)
        spaces += common_spaces(repetition, teachers[str(kind)], kind)
    kinds = variants(study, people.portions)
    losses = list(dict.fromkeys(variant.loss for variant in kinds))
    of_spaces = tuple(name for name in study.students if name not in OF_TEACHERS)
    lessons = [Lesson(of_spaces, space) for space in spaces]
    lessons += [Lesson(study.grid.relatives, space, loss) for loss, space in of_everyone(repetition, losses)]
    students(repetition, kinds, lessons, teachers)
    return repetition.models


def _maps(builder: Builder, people: Faces, seed: int, models: tuple[str, ...]) -> None:
    """The maps of one seed's models, if they are asked for."""
    study = builder.study
    if study.grid.maps == "all" or (study.grid.maps == "first seed" and seed == study.seeds[0]):
        data = Data(dataset=people.dataset)
        config = Run(role="projection", method="umap", seed=seed, data=data, projection=study.projection)
        builder.add("Maps", config, models)
