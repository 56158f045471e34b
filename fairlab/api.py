"""FairLab from Python, e.g. a notebook: the same calls that pages and command line make.

>>> from fairlab import api
>>> lab = api.open_workspace("~/fairlab-workspace")
>>> plan = api.plan(lab, "demo_mst_kd", {"seeds": (0, 1, 2)})
>>> api.start(lab, plan); api.wait(lab, plan)
>>> api.compare(lab, plan.study_id)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairlab.config import Data, Evaluation, Projection, Run, Source, changed
from fairlab.data.base import open_dataset
from fairlab.errors import FairLabError, Refused
from fairlab.presets import load_preset
from fairlab.runs.adding import changed_since
from fairlab.runs.compare import compare, read_study, studies
from fairlab.runs.estimate import check_disk, disk_bytes, estimate, measure
from fairlab.runs.launch import delete, dispatch, resume, start, start_one, stop
from fairlab.runs.plan import Plan, expand, single, slug
from fairlab.store.database import list_runs
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace, open_workspace

__all__ = [
    "Plan",
    "Source",
    "Workspace",
    "add_data",
    "check_disk",
    "compare",
    "delete",
    "disk_bytes",
    "dispatch",
    "embed",
    "estimate",
    "evaluate",
    "inspect_data",
    "list_runs",
    "measure",
    "open_dataset",
    "open_workspace",
    "plan",
    "project",
    "read_run",
    "read_study",
    "resume",
    "start",
    "state",
    "stop",
    "studies",
    "wait",
]


def plan(workspace: Workspace, preset: str, dials: Mapping[str, Any] | None = None) -> Plan:
    """The runs of a preset, with dotted settings changed, e.g. {"student.training.epochs": 5}."""
    return expand(changed(load_preset(preset), dials or {}), preset, workspace)


def project(workspace: Workspace, run_ids: Sequence[str], settings: Projection | None = None) -> str:
    """Start the job that draws the maps of these runs' spaces; returns its run id."""
    spaces = [read_run(workspace, run_id) for run_id in run_ids]
    config = Run(
        role="projection",
        method="umap",
        data=Data(dataset=_common_dataset(spaces)),
        projection=settings or Projection(),
    )
    return start_one(workspace, single(workspace, "Maps", config, tuple(run_ids)))


def evaluate(workspace: Workspace, run_id: str, settings: Evaluation | None = None) -> str:
    """Start the job that scores a run's embeddings on its data set's pairs again; returns the job's run id."""
    record = read_run(workspace, run_id)
    config = Run(
        role="evaluation", method="pairs", data=Data(dataset=record.dataset), evaluation=settings or Evaluation()
    )
    return start_one(workspace, single(workspace, f"Evaluation of {record.title}", config, (run_id,)))


def embed(workspace: Workspace, run_id: str, dataset_id: str) -> str:
    """Start the job that embeds a data set with a trained run; returns the job's run id."""
    record = read_run(workspace, run_id)
    open_dataset(workspace.dataset(dataset_id))
    config = Run(role="embedding", method="embed", data=Data(dataset=dataset_id))
    return start_one(workspace, single(workspace, f"Embeddings of {record.title}", config, (run_id,)))


def inspect_data(workspace: Workspace, source: Source) -> str:
    """Start the job that looks at somebody's data without adding them; returns its run id (report.json in its folder).

    For the report at once, in this process: fairlab.runs.adding.dry_run.
    """
    record = single(workspace, f"A look at {Path(source.path).name}", _source_run("inspect", source, ""), ())
    if (record.folder / "run.json").exists() and state(record.folder).status not in ("running", "queued"):
        delete(workspace, record.run_id)  # the data may have changed since
    return start_one(workspace, record)


def add_data(workspace: Workspace, source: Source, name: str = "") -> str:
    """Start the job that registers somebody's data as data set `name` (default: from the path); returns its run id.

    Raises Refused when other data have that name already, or when these files have changed since they were added.
    """
    name = slug(name or Path(source.path).expanduser().absolute().stem)
    record = single(workspace, f"Data {name}", _source_run("add", source, name), ())
    folder = workspace.dataset(name)
    if (folder / "dataset.json").exists() and not (record.folder / "run.json").exists():
        raise Refused(f"there is a data set {name!r} already; give another name")
    if (folder / "dataset.json").exists() and state(record.folder).status == "done" and (how := changed_since(record)):
        raise Refused(
            f"the files in {source.path} have changed since they were added as data set {name!r}: {how}; "
            f"add them under another name, or delete data set {name!r} first (`fairlab runs delete {record.run_id}`)"
        )
    return start_one(workspace, record)


def _source_run(method: str, source: Source, name: str) -> Run:
    absolute = source.model_copy(update={"path": str(Path(source.path).expanduser().absolute())})
    return Run(role="dataset", method=method, data=Data(dataset=name), source=absolute)


def wait(
    workspace: Workspace, run_ids: Plan | Sequence[str], look: Callable[[], None] = lambda: None, every_s: float = 1.0
) -> bool:
    """Wait until these runs have ended, calling `look` in between. True when all are done.

    Ends early when nothing can go on any more, because a run failed or was stopped.
    """
    names = [run.record.run_id for run in run_ids.runs] if isinstance(run_ids, Plan) else list(run_ids)
    while True:
        dispatch(workspace)
        look()
        views = {name: state(workspace.run(name)) for name in names}
        if all(view.status == "done" for view in views.values()):
            return True
        going = [view for view in views.values() if view.status == "running"]
        ready = [view for view in views.values() if view.status == "queued" and not view.reason]
        if not going and not ready:
            return False
        time.sleep(every_s)


def _common_dataset(spaces: Sequence[Any]) -> str:
    names = {space.dataset for space in spaces}
    if len(names) != 1:
        raise FairLabError(
            f"these runs have embeddings of different data sets ({', '.join(sorted(names))}); choose runs of one"
        )
    return str(names.pop())
