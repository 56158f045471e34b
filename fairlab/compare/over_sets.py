"""A study over several data sets in one table: a row per model, and of each set its mean accuracy and how far groups lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fairlab.compare.compare import compare, default_dataset, models_of
from fairlab.compare.exports import groups_of
from fairlab.compare.model_rows import ENDS
from fairlab.errors import FairLabError
from fairlab.settings.base import nearest
from fairlab.store.results import judged_on
from fairlab.store.studies import read_study
from fairlab.tables import NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

MEAN, STD = "mean", "std"
"""Columns mean:<set> (with _low and _high) and std:<set>, in points; std of sets with two groups or more."""


def sets_of(workspace: Workspace, study_id: str) -> list[str]:
    """Data sets that a model of the study is evaluated on: its own, those of tested_on, then others by name."""
    study = read_study(workspace, study_id)
    judged = {name for run in models_of(workspace, study) for name in judged_on(run.folder)}
    first = dict.fromkeys([default_dataset(workspace, study_id), *study.config.tested_on])
    return [name for name in (*first, *sorted(judged - first.keys())) if name in judged]


def over_sets(
    workspace: Workspace, study_id: str, sets: Sequence[str] = (), seed: int | None = None, pairs: str = "test"
) -> pd.DataFrame:
    """A row per model of a study, and per model from a file, that is evaluated on one of these data sets at least.

    sets: default all of sets_of(). seed: only the runs of this one. Columns: run_id, model, runs, and of each set
    mean:<set>, mean_low:<set>, mean_high:<set> and, where it has several groups, std:<set>, as in compare(); missing where
    the model is not evaluated on it. Raises FairLabError for a set that no model is evaluated on.
    """
    known = sets_of(workspace, study_id)
    if unknown := [name for name in sets if name not in known]:
        raise FairLabError(
            f"no model of {study_id} is evaluated on {unknown[0]!r}{nearest(unknown[0], known)}; its models are evaluated on: "
            f"{', '.join(known) or 'none'}"
        )
    tables = {name: compare(workspace, study_id, None, pairs, name, seed) for name in sets or known}
    tables = {name: table for name, table in tables.items() if len(table)}
    rows: dict[str, dict[str, object]] = {}
    for name, table in tables.items():
        for row in table.to_dict("records"):
            found = rows.setdefault(row["model"], {key: row[key] for key in ("run_id", "model", "runs")})
            found |= {f"{MEAN}{end}:{name}": row[f"{MEAN}{end}"] for end, _ in ENDS}
            if len(groups_of(table)) > 1:
                found[f"{STD}:{name}"] = row[STD]
    columns = {
        column: NUMBER
        for name, table in tables.items()
        for column in (
            *(f"{MEAN}{end}:{name}" for end, _ in ENDS),
            *([f"{STD}:{name}"] if len(groups_of(table)) > 1 else []),
        )
    }
    return Table(run_id=TEXT, model=TEXT, runs=WHOLE, **columns).build(list(rows.values()))


def shown_sets(table: pd.DataFrame) -> list[str]:
    """The data sets of a table of over_sets, in its order."""
    return [str(name).partition(":")[2] for name in table if str(name).startswith(f"{MEAN}:")]
