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

from fairlab.compare.compare import compare
from fairlab.compare.model_rows import common_pairs, read_scores
from fairlab.compare.models import list_models
from fairlab.compare.next_steps import how_to_evaluate
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.inspect.verdicts import Verdict, sentence, verdict
from fairlab.data.readers.scores.tables import write_bfw, write_bob
from fairlab.errors import FairLabError
from fairlab.files import not_there, ordinary, sha256
from fairlab.jobs.data.drawing import drawn_pairs
from fairlab.jobs.data.starts import add_data, check_overlap, draw_pairs, find_data, inspect_data, make_data, move_data
from fairlab.jobs.embed.landmarks import check_landmarks
from fairlab.jobs.evaluate.by_protocol import protocols_record
from fairlab.jobs.models.tables import models_in, table_kind
from fairlab.plan.estimate import check_disk, disk_bytes, estimate, measure
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan, single, slug
from fairlab.plan.records import check_lengths, cross_record
from fairlab.presets import load_preset
from fairlab.queue.edit import (
    clone,
    earlier,
    first,
    hold,
    later,
    look_at,
    queue_table,
    release,
    resume_study,
    stop_study,
    where,
)
from fairlab.queue.launch import (
    delete,
    dispatch,
    dispatch_unless_busy,
    resume,
    set_default_placement,
    start,
    start_one,
    stop,
)
from fairlab.queue.progress import Progress, study_progress
from fairlab.queue.progress import sentence as progress_sentence
from fairlab.queue.turns import any_goes_on
from fairlab.settings.placement import Placement
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import (
    Data,
    Evaluation,
    ModelFile,
    Overlap,
    Projection,
    Protocols,
    Recipe,
    Run,
    Source,
    changed,
)
from fairlab.storage.archive import Choice, archive
from fairlab.storage.archive_reading import bring_in, read_listing
from fairlab.storage.deleting import delete_dataset, delete_study, what_goes
from fairlab.storage.disk import usage
from fairlab.storage.people.forget import forget, forget_all, survey
from fairlab.storage.prune import prunable, prune
from fairlab.storage.retention import forget_expired, keep, limits
from fairlab.store.database import list_runs
from fairlab.store.records import read_weights
from fairlab.store.runs import SPACES, RunRecord, read_run, state
from fairlab.store.studies import read_study, studies
from fairlab.workspace import Workspace, open_workspace

__all__ = [
    "Choice",
    "DrawnPairs",
    "ModelFile",
    "Overlap",
    "Placement",
    "Plan",
    "Protocols",
    "Recipe",
    "Source",
    "Verdict",
    "Workspace",
    "add_data",
    "add_model",
    "archive",
    "bring_in",
    "check_disk",
    "check_overlap",
    "clone",
    "compare",
    "delete",
    "delete_dataset",
    "delete_study",
    "disk_bytes",
    "dispatch",
    "draw_pairs",
    "drawn_pairs",
    "earlier",
    "embed",
    "estimate",
    "evaluate",
    "export_scores",
    "find_data",
    "first",
    "forget",
    "forget_all",
    "forget_expired",
    "hold",
    "inspect_data",
    "inspect_model",
    "keep",
    "later",
    "limits",
    "list_models",
    "list_runs",
    "make_data",
    "measure",
    "move_data",
    "open_dataset",
    "open_workspace",
    "plan",
    "progress",
    "project",
    "prunable",
    "prune",
    "queue_table",
    "read_listing",
    "read_run",
    "read_study",
    "release",
    "resume",
    "resume_study",
    "sentence",
    "set_default_placement",
    "start",
    "state",
    "stop",
    "stop_study",
    "studies",
    "survey",
    "usage",
    "verdict",
    "wait",
    "what_goes",
    "where",
]


def plan(workspace: Workspace, preset: str, dials: Mapping[str, Any] | None = None) -> Plan:
    """The runs of a preset, with dotted settings changed, e.g. {"student.training.epochs": 5}."""
    return expand(changed(load_preset(preset), dials or {}), preset, workspace)


def progress(workspace: Workspace, study_id: str = "") -> tuple[Progress, str]:
    """How far a study is, or everything: counts, share and time left, and the same as a sentence."""
    runs = list_runs(workspace)
    names = list(read_study(workspace, study_id).run_ids) if study_id else None
    found = study_progress(workspace, runs, look_at(workspace, runs), names, study_id)
    return found, progress_sentence(found)


def project(
    workspace: Workspace, run_ids: Sequence[str], settings: Projection | None = None, dataset_id: str = ""
) -> str:
    """Start the job that draws the maps of these models' spaces over a data set that all have embedded; returns its run id.

    The default data set is the one that they were trained on.
    """
    spaces = [read_run(workspace, run_id) for run_id in run_ids]
    config = Run(
        role="projection",
        method="umap",
        data=Data(dataset=dataset_id or _common_dataset(spaces)),
        projection=settings or Projection(),
    )
    return start_one(workspace, single(workspace, "Maps", config, tuple(run_ids)), anew=True)


def evaluate(
    workspace: Workspace,
    run_id: str,
    dataset_id: str = "",
    settings: Evaluation | None = None,
    gallery: str = "",
    protocols: Protocols | Sequence[str] = (),
    placement: Placement | None = None,
) -> str:
    """Start the job that judges a model on a data set's pairs, embedding it first if need be; returns the job's run id.

    Any model, trained here or imported; the default data set is the one that it was trained on. With a gallery, another
    model's run id, that model embeds the first image of each pair and this one the second (cross-model verification);
    the numbers are then the job's own. With protocols, names or settings, the model is judged by these instead (and on the
    pairs if it was not yet); what is known already is not computed anew. placement: where, default: as the workspace says. Raises
    FairLabError for a run that is no model, a data set without pairs, an unknown protocol, and a gallery whose embeddings have
    another length.
    """
    record, dataset = _model_and_data(workspace, run_id, dataset_id)
    if protocols:
        if gallery:
            raise FairLabError(
                "against a gallery a model is evaluated on the data set's own pairs: leave the protocols out"
            )
        chosen = protocols if isinstance(protocols, Protocols) else Protocols(names=tuple(protocols))
        evaluation = settings or record.config.evaluation or Evaluation()
        return start_one(workspace, protocols_record(workspace, record, dataset, evaluation, chosen), True, placement)
    if dataset.pairs.empty:
        raise FairLabError(how_to_evaluate(dataset, record.run_id))
    judging = settings or record.config.evaluation or Evaluation()
    if gallery:
        enrolled, _ = _model_and_data(workspace, gallery, dataset.dataset_id)
        check_lengths(enrolled, record)
        return start_one(
            workspace, cross_record(workspace, enrolled, record, dataset.dataset_id, judging), True, placement
        )
    config = Run(role="evaluation", method="pairs", data=Data(dataset=dataset.dataset_id), evaluation=judging)
    title = f"{record.title} on {dataset.dataset_id}"
    return start_one(workspace, single(workspace, title, config, (run_id,)), True, placement)


def embed(workspace: Workspace, run_id: str, dataset_id: str, placement: Placement | None = None) -> str:
    """Start the job that embeds a data set with a model, trained here or imported; returns the job's run id.

    placement: where, default: as the workspace says.
    """
    record, dataset = _model_and_data(workspace, run_id, dataset_id)
    config = Run(role="embedding", method="embed", data=Data(dataset=dataset.dataset_id))
    title = f"Embeddings of {dataset.dataset_id} by {record.title}"
    return start_one(workspace, single(workspace, title, config, (run_id,)), True, placement)


def _model_and_data(workspace: Workspace, run_id: str, dataset_id: str) -> tuple[RunRecord, Dataset]:
    record = read_run(workspace, run_id)
    if record.role not in SPACES or record.method == "inspect":
        raise FairLabError(f"{run_id} is not a model: its role is {record.role}; `fairlab models` lists the models")
    if not (dataset_id or record.dataset):
        raise FairLabError(f"{run_id} was trained elsewhere: name the data set too")
    dataset = open_dataset(workspace.dataset(dataset_id or record.dataset))
    if (record.folder / "weights" / "model.json").exists():
        check_landmarks(record, read_weights(record.folder), dataset)
    return record, dataset


def inspect_model(workspace: Workspace, source: ModelFile) -> str:
    """Start the job that looks at a model file without adding it; returns its run id (report.json in its folder).

    For the report at once, in this process: fairlab.jobs.models.importing.report_of.
    """
    title = f"Inspect {Path(source.path).name}"
    return start_one(workspace, single(workspace, title, _model_run("inspect", source), ()), anew=True)


def add_model(workspace: Workspace, source: ModelFile, name: str = "") -> list[str]:
    """Start the jobs that make a file a model of this workspace; returns their run ids, by which the models are known.

    One, but of a table of scores a model for each of its columns; embeddings and scores may bring their own data set,
    which is then made first.
    """
    path = ordinary(Path(source.path).expanduser().absolute())
    title, kind = name or path.stem, table_kind(path)
    if not kind:
        return [start_one(workspace, single(workspace, title, _model_run("import", source), ()))]
    parents: tuple[str, ...] = ()
    dataset_id = source.dataset
    if dataset_id and kind == "embeddings":
        open_dataset(workspace.dataset(dataset_id))
    else:
        dataset_id = slug(title)
        parents = (add_data(workspace, Source(path=str(path), kind=kind, attribute=source.attribute), dataset_id),)
    columns = [""] if kind == "embeddings" else [source.column] if source.column else models_in(path, source.attribute)
    runs = []
    for column in columns:
        config = _model_run(kind, source.model_copy(update={"column": column}), dataset_id)
        called = f"{title} {column}" if len(columns) > 1 else title
        runs.append(start_one(workspace, single(workspace, called, config, parents)))
    return runs


def export_scores(
    workspace: Workspace,
    run_ids: Sequence[str],
    dataset_id: str,
    path: Path,
    kind: str = "bob",
    protocol: str = "test",
    overwrite: bool = False,
) -> None:
    """Write models' scores on a pair list as a table that other tools read: "bob" (one model) or "bfw" (any number).

    Raises FairLabError when a model was not judged there, Refused when the file is there and `overwrite` is not said.
    """
    not_there(path, overwrite)
    dataset = open_dataset(workspace.dataset(dataset_id))
    models = [read_run(workspace, run_id) for run_id in run_ids]
    pairs = common_pairs(models, dataset, protocol)
    if pairs.empty:
        raise FairLabError(f"data set {dataset_id} has no {protocol} pairs")
    names = [model.title for model in models]
    names = names if len(set(names)) == len(names) else list(run_ids)  # several seeds of one title
    scores = {name: read_scores(model, dataset, protocol) for name, model in zip(names, models, strict=True)}
    if kind == "bfw":
        write_bfw(path, dataset.images, pairs, scores)
    elif kind == "bob" and len(scores) == 1:
        write_bob(path, dataset.images, pairs, scores[names[0]], dataset.attribute)
    else:
        raise FairLabError("say bfw, or bob with one model: bob's table holds one score a row")


def _model_run(method: str, source: ModelFile, dataset_id: str = "") -> Run:
    path, head = (
        str(ordinary(Path(text).expanduser().absolute())) if text else "" for text in (source.path, source.head)
    )
    content = sha256(Path(path)) if Path(path).is_file() else ""
    model = source.model_copy(update={"path": path, "head": head, "sha256": content})
    return Run(role="model", method=method, data=Data(dataset=dataset_id), model=model)


def wait(
    workspace: Workspace, run_ids: Plan | Sequence[str], look: Callable[[], None] = lambda: None, every_s: float = 1.0
) -> bool:
    """Wait until these runs have ended, calling `look` in between. True when all are done.

    Ends early when nothing can go on any more, because a run failed or was stopped.
    """
    names = [run.record.run_id for run in run_ids.runs] if isinstance(run_ids, Plan) else list(run_ids)
    while True:
        dispatch_unless_busy(workspace)
        look()
        going = any_goes_on(workspace, names)  # asked first: what ends in between is seen to be done
        views = {name: state(workspace.run(name)) for name in names}
        if all(view.status == "done" for view in views.values()):
            return True
        if not going:
            return False
        time.sleep(every_s)


def _common_dataset(spaces: Sequence[Any]) -> str:
    names = {space.dataset for space in spaces}
    if len(names) != 1:
        raise FairLabError(
            f"these runs have embeddings of different data sets ({', '.join(sorted(names))}); choose runs of one"
        )
    return str(names.pop())
