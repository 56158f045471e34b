"""Studies of a workspace: the settings they were planned from, and the names of their runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.settings.study import Study, parse
from fairlab.store.database import statuses
from fairlab.store.finding import SEPARATOR
from fairlab.store.labels import labels_of
from fairlab.store.records import VariedFile, study_of
from fairlab.tables import BOOL, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

STUDIES = Table(
    study_id=TEXT, title=TEXT, preset=TEXT, created_at=TEXT, runs=WHOLE, done=WHOLE, tags=TEXT, note=TEXT, star=BOOL
)
"""A row is a study; done: how many of its runs; tags (with ", " between them), note, star: what a person says of it."""


@dataclass(frozen=True)
class StudyInfo:
    """A study folder's content."""

    study_id: str
    title: str
    preset: str
    created_at: str
    run_ids: tuple[str, ...]
    config: Study
    varied: Mapping[str, VariedFile] = field(default_factory=dict)
    """Of runs that hang on axes of the study: their values."""


def read_study(workspace: Workspace, study_id: str) -> StudyInfo:
    """A study by name. Raises FairLabError when there is none."""
    path = workspace.study(study_id) / "study.json"
    if not path.exists():
        known = (
            ", ".join(sorted(item.parent.name for item in workspace.studies_folder.glob("*/study.json"))) or "none yet"
        )
        raise FairLabError(f"there is no study {study_id!r} in {workspace.home}; there are: {known}")
    facts = study_of(path.parent)
    config = parse(Study, read_json(path).get("config"), f"{path}: config")
    about = (facts.study_id, facts.title, facts.preset, facts.created_at, facts.run_ids)
    return StudyInfo(*about, config, facts.varied)


def studies(workspace: Workspace) -> pd.DataFrame:
    """All studies that can be read, newest first: STUDIES."""
    rows, stand = [], statuses(workspace)
    for path in workspace.studies_folder.glob("*/study.json"):
        try:
            facts = study_of(path.parent)
        except FairLabError:
            continue  # it hinders no other; `fairlab doctor` names it
        done = sum(stand.get(name) == "done" for name in facts.run_ids)
        about = {name: getattr(facts, name) for name in ("study_id", "title", "preset", "created_at")}
        labels = labels_of(path.parent)
        own = {"tags": SEPARATOR.join(labels.tags), "note": labels.note, "star": labels.star}
        rows.append({**about, "runs": len(facts.run_ids), "done": done, **own})
    return STUDIES.build(rows).sort_values("created_at", ascending=False, ignore_index=True)
