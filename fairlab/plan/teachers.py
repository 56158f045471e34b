"""The teachers of one seed: one for each group, as many on balanced parts, models given, or one of everybody."""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.plan import choices
from fairlab.plan.repetition import Repetition, Space, titled
from fairlab.settings.study import Data, loss_in_grid
from fairlab.store.runs import read_run

EVERYONE = "Teacher of everyone"
HEAD = "weights/head.safetensors"
"""Where a run keeps its classifier."""


def arm(repetition: Repetition, kind: str) -> list[str]:
    """A set of teachers: one for each group (specialised), or as many on balanced parts."""
    people, groups = repetition.people, list(repetition.people.sizes)
    teachers = []
    for number, group in enumerate(groups):
        if kind == "specialised":
            title, images = f"Teacher {group}", people.sizes[group]
            data = Data(dataset=people.dataset, groups=(group,))
        else:
            title, images = f"Balanced teacher {number + 1}", repetition.images // len(groups)
            data = Data(dataset=people.dataset, parts=len(groups), part=number)
        config = repetition.network("teacher", "classifier", data, repetition.study.teacher)
        teachers.append(repetition.add_model(title, config, people.needed, images))
    return teachers


def given(repetition: Repetition) -> list[str]:
    """The models that are there already, and last the job that embeds the study's faces with them."""
    repetition.models.extend(repetition.study.grid.given)
    return [*repetition.study.grid.given, repetition.add_given_embedded()]


def of_everyone(repetition: Repetition, losses: Sequence[str]) -> list[tuple[str, Space]]:
    """For each of these losses, the one teacher that the relatives' students learn from."""
    grid = repetition.study.grid
    if not grid.relatives:
        return []
    if len(grid.given) == 1:
        record = read_run(repetition.builder.workspace, grid.given[0])
        head = (record.folder / HEAD).exists()
        space = Space(record, "given", head, repetition.length([record.run_id]), (repetition.add_given_embedded(),))
        return [(loss, space) for loss in losses]
    return [(loss, _of_everyone(repetition, loss, len(losses) > 1)) for loss in losses]


def _of_everyone(repetition: Repetition, loss: str, several: bool) -> Space:
    """The teacher of everybody with one loss; several: there is one with another loss, so the title names it."""
    settings, grid = repetition.study.teacher, repetition.study.grid
    words: tuple[str, ...] = ()
    if grid.losses:
        settings = settings.model_copy(update={"loss": loss_in_grid(grid, settings.loss, loss)})
        words = (choices.title(loss, choices.losses()),) if several else ()
    config = repetition.network("teacher", "classifier", repetition.faces, settings)
    run_id = repetition.add_model(titled(EVERYONE, (), words), config, repetition.people.needed, repetition.images)
    return Space(repetition.record(run_id), "", head=True, dim=settings.backbone.embedding_dim)
