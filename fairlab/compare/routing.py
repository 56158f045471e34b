"""Where a student of several teachers routed the images: its readings, with the names of its teachers."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.routing import measures_by_epoch, shares_by_group
from fairlab.settings.distillation import OF_TEACHERS, MSTDistillSettings
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace

LEARNT = {
    "balance": "The routing is balanced, not learnt: the gate learns from the load balance alone, as in the published code.",
    "kl": "The gate learns to route to the teacher that is nearest to the student already (FairLab's choice, not the paper's).",
    "right": "The gate learns to route to the teacher that is surest of the identity (FairLab's choice, not the paper's).",
}
"""What a routing means, by what the gate learns from."""


def routes(record: RunRecord) -> bool:
    """Does this run route images to teachers?"""
    return record.method in OF_TEACHERS


def meaning(record: RunRecord) -> str:
    """What the routing of a run means, in a sentence. Raises FairLabError for a run that routes nothing."""
    about = record.config.distillation
    return LEARNT[(about if isinstance(about, MSTDistillSettings) else MSTDistillSettings()).gate_learns]


def teachers_of(workspace: Workspace, record: RunRecord) -> dict[str, tuple[str, ...]]:
    """The names of a run's teachers, in its order, each with the groups that it learnt from, () for all.

    Titles where they differ, else run ids; a teacher that was deleted has its run id. Raises FairLabError for a run that
    routes nothing.
    """
    if not routes(record):
        raise FairLabError(
            f"{record.run_id} has no routing: its method is {record.method}, not {' or '.join(OF_TEACHERS)}"
        )
    teachers: list[tuple[str, str, tuple[str, ...]]] = []
    for name in record.parents:
        try:
            parent = read_run(workspace, name)
        except FairLabError:
            teachers.append((name, name, ()))
            continue
        if parent.role in SPACES:
            teachers.append((name, parent.title, parent.config.data.groups))
    titles = Counter(title for _, title, _ in teachers)
    return {title if titles[title] == 1 else name: groups for name, title, groups in teachers}


def shares(workspace: Workspace, record: RunRecord, events: pd.DataFrame) -> pd.DataFrame:
    """evaluation.routing.SHARES of a run's readings."""
    return shares_by_group(events, list(teachers_of(workspace, record)))


def measures(workspace: Workspace, record: RunRecord, events: pd.DataFrame) -> pd.DataFrame:
    """evaluation.routing.MEASURES of a run's readings; a group's own teacher is the only one that learnt from it alone."""
    teachers = teachers_of(workspace, record)
    alone = Counter(groups[0] for groups in teachers.values() if len(groups) == 1)
    own = {groups[0]: name for name, groups in teachers.items() if len(groups) == 1 and alone[groups[0]] == 1}
    return measures_by_epoch(events, list(teachers), own)
