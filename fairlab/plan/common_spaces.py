"""What is made of a set of teachers: their concatenation, trained adaptors, and rules without training."""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.plan import choices
from fairlab.plan.repetition import Repetition, Space
from fairlab.settings.study import Run


def common_spaces(repetition: Repetition, teachers: Sequence[str], arm: str) -> list[Space]:
    """Enter them for these teachers; returns the spaces that teach students. arm: what titles call the teachers."""
    study = repetition.study
    if study.concatenation:
        repetition.add_model(f"Concatenation ({arm})", _rule(repetition, "concatenation"), teachers)
    known, spaces = choices.common_spaces(), []
    for name in study.adaptors:
        words, rule = choices.title(name, known), bool(known[name].get("rule"))
        if known[name].get("needs_group") and not _own_teachers(repetition, teachers):
            repetition.builder.notes.append(
                f"{words} is left out over {arm} teachers: it needs one teacher that is specialised on each group"
            )
            continue
        if rule:
            run_id = repetition.add_model(f"{words} ({arm})", _rule(repetition, name), teachers)
        else:
            run_id = repetition.add_model(
                f"Common space ({words}, {arm})", _adaptor(repetition, name), teachers, repetition.images
            )
        if name in (study.grid.distil_from or study.adaptors):
            dim = repetition.length(teachers) if rule else study.adaptor.adaptor.embedding_dim
            spaces.append(Space(repetition.record(run_id), f"{words}, {arm}", head=not rule, dim=dim))
    return spaces


def _rule(repetition: Repetition, method: str) -> Run:
    """The settings of a common space that is not trained."""
    return Run(
        role="baseline",
        method=method,
        seed=repetition.seed,
        data=repetition.faces,
        evaluation=repetition.study.evaluation,
    )


def _adaptor(repetition: Repetition, name: str) -> Run:
    """The settings of a common space that a trained adaptor makes."""
    settings = repetition.study.adaptor
    return Run(
        role="adaptor",
        method="common_space",
        seed=repetition.seed,
        data=repetition.faces,
        adaptor=settings.adaptor.model_copy(update={"name": name}),
        loss=settings.loss,
        training=settings.training,
        evaluation=repetition.study.evaluation,
    )


def _own_teachers(repetition: Repetition, teachers: Sequence[str]) -> bool:
    """Is there exactly one of them for each group that learnt from this group alone?"""
    taught = [repetition.record(name).config.data.groups for name in teachers]
    return all(taught.count((group,)) == 1 for group in repetition.people.sizes)
