"""A folder of MST-KD's official checkpoints: looked at file by file, then imported as one study that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.files import ordinary
from fairlab.jobs.evaluate.starts import how_to_evaluate
from fairlab.jobs.models import adaptors
from fairlab.jobs.models.importing import Stop, recognised
from fairlab.jobs.models.study_names import Kept, read_names, teachers_of
from fairlab.plan.plan import Plan, PlannedRun, single, study_id
from fairlab.queue.launch import start, start_one
from fairlab.settings.placement import Placement
from fairlab.settings.study import Backbone, Data, Evaluation, Grid, ModelFile, Run, Study, StudyFolder, parse
from fairlab.store.runs import RunRecord, state
from fairlab.workspace import Workspace

PRESET = "imported"
"""What such a study says it was started from."""
PAPER = "MST-KD, arXiv 2408.16563"
QUARTERS = "the balanced teachers bear the names of ethnicities; each was trained on a quarter of all groups"
STEPS = (
    "where a folder holds several steps and the official configuration names none, the last one is taken; the authors took "
    "the adaptor with the lowest training loss, which the files do not say"
)


def inspect_folder(workspace: Workspace, settings: StudyFolder) -> str:
    """Start the job that looks at a folder without importing it; returns its run id (report.json in its folder)."""
    path = str(ordinary(Path(settings.path).expanduser().absolute())) if settings.path else ""
    config = Run(role="model", method="inspect", data=Data(), folder=settings.model_copy(update={"path": path}))
    return start_one(workspace, single(workspace, f"Inspect {Path(path).name}", config, ()), anew=True)


def report_of(
    settings: StudyFolder, progress: Callable[[int, int], None] = lambda _d, _t: None, stop: Stop = lambda: False
) -> dict[str, Any]:
    """What the folder holds, every chosen file read whole, as JSON values; nothing is added.

    Returns {"kind": "study", "path", "order", "models": [a dict for each, teachers first], "notes"}. Raises FairLabError:
    the first thing that does not fit.
    """
    root = ordinary(Path(settings.path).expanduser().absolute())
    models = read_names(settings)
    rows: list[dict[str, Any]] = []
    dims: dict[str, int] = {}
    for number, kept in enumerate(models):
        if stop():
            raise Stopped
        progress(number, len(models))
        if kept.role == "adaptor":
            parents = teachers_of(kept, models, settings.order, root)
            about = _adaptor(kept, [teacher.title for teacher in parents], [dims[teacher.title] for teacher in parents])
        else:
            about = _network(kept) | {"parents": _learned_from(kept, models)}
            dims[kept.title] = about["embedding_dim"]
        rows.append({**_named(kept), **about})
    progress(len(models), len(models))
    notes = [STEPS] if any(len(kept.steps) > 1 and not kept.chosen_on for kept in models) else []
    notes += [QUARTERS] if any(kept.role == "teacher" and kept.arm == "balanced" for kept in models) else []
    notes += [
        f"{row['title']}: its common space is not among these files"
        for row in rows
        if row["role"] == "student" and not row["parents"]
    ]
    return {"kind": "study", "path": str(root), "order": list(settings.order), "models": rows, "notes": notes}


def _named(kept: Kept) -> dict[str, Any]:
    head = str(kept.head) if kept.head is not None else ""
    facts = {name: getattr(kept, name) for name in ("title", "role", "method", "arm", "group", "folder", "step", "why")}
    return {**facts, "path": str(kept.path), "head": head, "steps": list(kept.steps), "chosen_on": kept.chosen_on}


def _network(kept: Kept) -> dict[str, Any]:
    """What a teacher's or student's file holds. Raises FairLabError for any other."""
    found = recognised(ModelFile(path=str(kept.path), head=str(kept.head) if kept.head else ""))
    facts = found.facts
    if facts["kind"] != "backbone":
        raise FairLabError(f"{kept.path} is not a checkpoint of a face network")
    return {
        "backbone": facts["settings"],
        "embedding_dim": facts["embedding_dim"],
        "classes": facts["classes"],
        "sha256": facts["sha256"],
        "adaptor": "",
        "notes": list(found.notes),
    }


def _adaptor(kept: Kept, parents: Sequence[str], dims: Sequence[int]) -> dict[str, Any]:
    """What an adaptor's file holds, over teachers of these lengths."""
    source = ModelFile(path=str(kept.path), adaptor=kept.adaptor)
    found = adaptors.recognised(kept.path, source)
    if found is None:
        raise FairLabError(f"{kept.path} is not an adaptor of MST-KD")
    adaptors.check_parents(found, str(kept.path), dims)
    report = adaptors.report_of(kept.path, source, found)
    names = ("embedding_dim", "sha256", "adaptor", "notes")
    return {"backbone": None, "classes": None, "parents": list(parents), **{name: report[name] for name in names}}


def _learned_from(kept: Kept, models: Sequence[Kept]) -> list[str]:
    """Title of the common space that a student learned from, where exactly one of the folder's fits."""
    wanted = ("adaptor", kept.arm, kept.adaptor, kept.network)
    spaces = [model.title for model in models if (model.role, model.arm, model.adaptor, model.network) == wanted]
    return spaces if kept.role == "student" and len(spaces) == 1 else []


def import_study(
    workspace: Workspace, report: dict[str, Any], dataset_id: str, name: str = "", placement: Placement | None = None
) -> str:
    """Import the models of a report as one study and evaluate each on a data set; returns the study's id.

    All runs are queued together, or none. The same report again continues: what is done is not done again. Raises
    FairLabError for files that have changed since, and for a data set without pairs.
    """
    plan = planned(workspace, report, dataset_id, name)
    for row in report["models"]:
        for path in filter(None, (row["path"], row["head"])):
            if not Path(path).is_file():
                raise FairLabError(f"{path} is gone since the folder was looked at; look at it again")
    start(workspace, plan, placement)
    return plan.study_id


def check_test_set(workspace: Workspace, dataset_id: str) -> None:
    """Raise FairLabError unless this is a data set with pairs, before any file is read."""
    if not dataset_id:
        raise FairLabError(
            "name the data set with pairs on which the models are evaluated (--data), e.g. RFW; `fairlab data list` lists "
            "the data sets"
        )
    dataset = open_dataset(workspace.dataset(dataset_id))
    if dataset.pairs.empty:
        raise FairLabError(how_to_evaluate(dataset, "MODEL"))


def planned(workspace: Workspace, report: dict[str, Any], dataset_id: str, name: str = "") -> Plan:
    """The runs that import_study starts: every model, then its evaluation. Raises FairLabError as it does."""
    if report.get("kind") != "study" or not report.get("models"):
        raise Damaged("this is not a report of a folder of checkpoints; look at the folder again")
    check_test_set(workspace, dataset_id)
    title = name or f"Official checkpoints: {Path(report['path']).name}"
    records: dict[str, RunRecord] = {}
    for row in report["models"]:
        parents = tuple(records[parent].run_id for parent in row["parents"])
        config = _settings_of(row, report, parents)
        records[row["title"]] = single(workspace, row["title"], config, parents)
    first = [row for row in report["models"] if row["role"] == "teacher"]
    given = tuple(records[row["title"]].run_id for row in first if row["arm"] == first[0]["arm"])
    study = _study(report, title, dataset_id, given)
    name_of_study = study_id(study, PRESET)
    runs = []
    for record in [*records.values(), *(_evaluation(workspace, record, dataset_id) for record in records.values())]:
        kept = replace(record, preset=PRESET, study=name_of_study)
        known = (record.folder / "run.json").exists()
        runs.append(PlannedRun(kept, state(record.folder).status if known else "new", 0))
    return Plan(name_of_study, PRESET, study, tuple(runs), tuple(report["notes"]))


def _settings_of(row: dict[str, Any], report: dict[str, Any], parents: tuple[str, ...]) -> Run:
    """The settings of the run that imports one model of the report."""
    file = {
        **{name: row[name] for name in ("path", "head", "sha256")},
        **({"chosen_on": row["chosen_on"]} if row["chosen_on"] else {}),
    }
    if row["role"] == "adaptor":
        looks = row["adaptor"] in ("positioning", "encoding")
        file |= {"parents": parents, "adaptor": row["adaptor"], "groups": tuple(report["order"]) if looks else ()}
    groups = (row["group"],) if row["group"] and row["arm"] == "specialised" else ()
    backbone = parse(Backbone, row["backbone"], row["path"]) if row["backbone"] else None
    return Run(
        role=row["role"],
        method=row["method"],
        data=Data(groups=groups),
        model=parse(ModelFile, file, row["path"]),
        backbone=backbone,
    )


def _study(report: dict[str, Any], title: str, dataset_id: str, given: tuple[str, ...]) -> Study:
    return Study(
        title=title,
        summary=f"Checkpoints of MST-KD's official code from {report['path']}"[:2000],
        paper=PAPER,
        dataset=dataset_id,
        arms=(),
        adaptors=(),
        students=(),
        plain_student=False,
        concatenation=False,
        grid=Grid(given=given),
    )


def _evaluation(workspace: Workspace, record: RunRecord, dataset_id: str) -> RunRecord:
    config = Run(role="evaluation", method="pairs", data=Data(dataset=dataset_id), evaluation=Evaluation())
    return single(workspace, f"{record.title} on {dataset_id}", config, (record.run_id,))
