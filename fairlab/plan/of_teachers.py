"""What a student of all teachers of an arm at once needs of them, checked before anything is registered."""

from __future__ import annotations

from collections.abc import Mapping

from fairlab.errors import FairLabError
from fairlab.settings.study import Study


def check_teachers(method: str, arm: str, lengths: Mapping[str, int | None], study: Study) -> None:
    """Raise FairLabError where the teachers of an arm cannot all teach one student.

    lengths: of their embeddings, by title; None where it is not known yet.
    """
    if not lengths:
        raise FairLabError(f"students: {method} learns from all {arm} teachers, and there are none")
    known = {length for length in lengths.values() if length is not None}
    if len(known) > 1:
        words = ", ".join(f"{title} {length}" for title, length in lengths.items())
        raise FairLabError(
            f"students: {method} reads the targets of all {arm} teachers as one table, so their embeddings must be equally "
            f"long; their lengths are: {words}"
        )
    top_k = study.student.distillation.mst_distill.top_k
    if top_k > len(lengths):
        raise FairLabError(
            f"student.distillation.mst_distill.top_k: an image cannot be routed to {top_k} teachers: there are "
            f"{len(lengths)} {arm} ones"
        )
