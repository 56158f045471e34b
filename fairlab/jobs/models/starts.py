"""Starting the jobs that look at a model's file, add it, and draw the maps of models' spaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.files import ordinary, sha256
from fairlab.jobs.data.starts import add_data
from fairlab.jobs.models.adaptors import parents_of
from fairlab.jobs.models.tables import models_in, table_kind
from fairlab.plan.plan import single, slug
from fairlab.queue.launch import start_one
from fairlab.reading.mistaken import check_file
from fairlab.settings.study import Data, ModelFile, Moved, Projection, Run, Source
from fairlab.store.embeddings import embedded_sets
from fairlab.store.moved import find_moved
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace


def path_of(source: ModelFile) -> Path:
    """The file that these settings name. Raises FairLabError where none is there, or one that holds no model."""
    path = ordinary(Path(source.path).expanduser().absolute())
    ordinary(Path(source.head).expanduser().absolute())
    if source.path and path.is_dir():
        raise FairLabError(
            f"{path} is a folder; name a file, or import MST-KD's whole folder with `fairlab studies import`"
        )
    if not source.path or not path.is_file():
        raise FairLabError(f"there is no file {path}; name the file of a model" if source.path else "name the file")
    check_file(path, "a model")
    return path


def inspect_model(workspace: Workspace, source: ModelFile) -> str:
    """Start the job that looks at a model file without adding it; returns its run id (report.json in its folder).

    For the report at once, in this process: fairlab.jobs.models.importing.report_of.
    """
    title = f"Inspect {path_of(source).name}"
    return start_one(workspace, single(workspace, title, _model_run("inspect", source), ()), anew=True)


def add_model(workspace: Workspace, source: ModelFile, name: str = "") -> list[str]:
    """Start the jobs that make a file a model of this workspace; returns their run ids, by which the models are known.

    One, but of a table of scores a model for each of its columns; embeddings and scores may bring their own data set,
    which is then made first. Raises FairLabError, before anything is queued, for a path that is no file.
    """
    path = path_of(source)
    title, kind = name or path.stem, table_kind(path)
    if source.parents:
        return [start_one(workspace, single(workspace, title, adaptor_run(workspace, source), source.parents))]
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


def measure_moved(
    workspace: Workspace, before: str, after: str, settings: Moved | None = None, dataset_id: str = ""
) -> str:
    """Start the job that measures what moved from one model's space to another's; returns its run id, "" where it is measured.

    dataset_id: one that both have embedded; default: the one that they were trained on, or the only one. Raises FairLabError
    for one space, and where no data set is embedded by both.
    """
    settings = settings or Moved()
    spaces = [read_run(workspace, run_id) for run_id in (before, after)]
    dataset_id = moved_on(spaces, dataset_id)
    if find_moved(spaces[0], spaces[1], dataset_id, settings) is not None:
        return ""
    config = Run(role="comparison", method="moved", data=Data(dataset=dataset_id), moved=settings)
    return start_one(workspace, single(workspace, "What moved", config, (before, after)), anew=True)


def moved_on(spaces: Sequence[RunRecord], dataset_id: str = "") -> str:
    """The data set on which two spaces are compared; "": the one that they were trained on, or the only one embedded by both.

    Raises FairLabError for one space, for a run without embeddings, and where it is not clear which.
    """
    one, other = spaces
    if one.run_id == other.run_id:
        raise FairLabError(f"{one.run_id} is compared with itself; choose two different models")
    have = [embedded_sets(space.folder) for space in spaces]
    for space, known in zip(spaces, have, strict=True):
        if dataset_id and dataset_id not in known:
            raise FairLabError(
                f"{space.run_id} has no embeddings of {dataset_id}: run `fairlab models embed {space.run_id} {dataset_id}`"
                " first"
            )
    both = [name for name in have[0] if name in have[1]]
    if not both:
        raise FairLabError(
            f"{one.run_id} and {other.run_id} have embedded no data set in common: embed one with both (`fairlab models "
            "embed RUN DATA`)"
        )
    if dataset_id:
        return dataset_id
    if len(both) > 1 and not (one.dataset == other.dataset and one.dataset in both):
        raise FairLabError(f"both models have embedded several data sets ({', '.join(both)}): name one")
    return one.dataset if one.dataset == other.dataset and one.dataset in both else both[0]


def adaptor_run(workspace: Workspace, source: ModelFile) -> Run:
    """The settings of the run that keeps an adaptor's file as a common space. Raises FairLabError for parents that are none."""
    parents_of(workspace, source.parents)
    config = _model_run("common_space", source)
    return config.model_copy(update={"role": "adaptor"})


def _model_run(method: str, source: ModelFile, dataset_id: str = "") -> Run:
    path, head = (
        str(ordinary(Path(text).expanduser().absolute())) if text else "" for text in (source.path, source.head)
    )
    content = sha256(Path(path)) if Path(path).is_file() else ""
    model = source.model_copy(update={"path": path, "head": head, "sha256": content})
    return Run(role="model", method=method, data=Data(dataset=dataset_id), model=model)


def _common_dataset(spaces: Sequence[RunRecord]) -> str:
    names = {space.dataset for space in spaces}
    if len(names) != 1:
        raise FairLabError(
            f"these runs have embeddings of different data sets ({', '.join(sorted(names))}); choose runs of one"
        )
    return str(names.pop())
