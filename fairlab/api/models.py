"""`lab.models`: what there is, adding a model from a file, maps and score tables of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fairlab.api.arguments import Progress, run_ids, settings_of, silent
from fairlab.api.model import Model
from fairlab.api.run import Run
from fairlab.errors import FairLabError
from fairlab.jobs.models import starts
from fairlab.settings.study import MOST_POINTS, ModelFile, Moved, Projection
from fairlab.store.runs import SPACES, read_run
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.store.moved import StoredMove


class Models:
    """The models of a workspace, by run id, newest first.

    >>> lab.models.table()[["run_id", "title", "trained_on"]]
    >>> lab.models["student-eaf-kd-s0-1f2e3d4c"].roc()
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        count = len(self)
        return f"<{count} model{'' if count == 1 else 's'}: table(), [run_id], add()>"

    def __len__(self) -> int:
        return len(self.table())

    def __iter__(self) -> Iterator[Model]:
        return (Model(self._workspace, name) for name in self.table()["run_id"])

    def __getitem__(self, run_id: str) -> Model:
        """A model by run id. Raises FairLabError for a run that is not a model, or does not exist."""
        record = read_run(self._workspace, run_id)
        if record.role not in SPACES or record.method == "inspect":
            raise FairLabError(
                f"{run_id} is not a model: its role is {record.role}; `fairlab models list` lists the models"
            )
        return Model(self._workspace, run_id)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.table()["run_id"])

    def table(self) -> pd.DataFrame:
        """All models, trained here or added, newest first.

        Returns a DataFrame with run_id, title, role, network, embedding_dim, image_px, trained_parameters,
        frozen_parameters (numbers that training leaves as they are), flops (of one forward pass), seed, trained_on, embedded
        and judged_on (data sets, separated by commas).

        >>> lab.models.table().set_index("title")["judged_on"]
        """
        from fairlab.compare.models import list_models

        return list_models(self._workspace)

    def compare(
        self, dataset: str, *, pairs: str = "test", baseline: str | None = None, seed: int | None = None
    ) -> pd.DataFrame:
        """A row per model that was added from a file, evaluated on a data set; as study.compare() otherwise.

        Returns a DataFrame, empty while none is evaluated there. Raises FairLabError for an unknown baseline.

        >>> lab.models.compare("rfw")[["model", "mean", "std", "ser"]]
        """
        from fairlab.compare.compare import compare

        return compare(self._workspace, "", baseline, pairs, dataset, seed)

    def add(self, file: str | Path | ModelFile, name: str = "", **settings: Any) -> list[Model]:
        """Start the jobs that make a file a model of this workspace.

        file: weights, an ONNX graph, an adaptor of MST-KD, a table of scores, or embeddings. name: what to call it (default: the file's name).
        settings: fields of ModelFile. Returns the models: one, but for a table of scores one for each of its columns.
        Raises FairLabError for a wrong setting or a file that does not exist.

        >>> [model] = lab.models.add("/models/w600k_r50.onnx", "ArcFace R50")
        >>> model.wait().evaluate("rfw").wait()
        >>> lab.models.add("/models/253682backbone.pth", "SL", parents=[asian, african, caucasian, indian])
        """
        source = self._source(file, settings)
        return [Model(self._workspace, run_id) for run_id in starts.add_model(self._workspace, source, name)]

    def with_parents(self, file: str | Path | ModelFile, **settings: Any) -> ModelFile:
        """An adaptor's file of MST-KD with its parents, checked against its columns.

        Parents that are not given are those whose groups, titles or folders name Asian, African, Caucasian and Indian, in
        this order. The file is read in this process: torch is imported. Returns the settings for add(); those of any other
        file as they are. Raises FairLabError for parents that do not fit, and where nothing tells them.

        >>> lab.models.with_parents("/models/EArcAdapter/iresnet34/lr_1_ep_26/fusion/253682backbone.pth").parents
        """
        from fairlab.jobs.models import adaptors

        return adaptors.completed(self._workspace, self._source(file, settings))

    def inspect(self, file: str | Path | ModelFile, **settings: Any) -> Run:
        """Start the job that reads a model's file without adding it; arguments as in add().

        Returns the job; its `report` says what was understood. Raises FairLabError as add() does.

        >>> lab.models.inspect("/models/w600k_r50.onnx").wait().report["family"]
        """
        return Run(self._workspace, starts.inspect_model(self._workspace, self._source(file, settings)))

    def preview(
        self,
        file: str | Path | ModelFile,
        progress: Progress = silent,
        **settings: Any,
    ) -> dict[str, Any]:
        """As inspect(), in this process: torch is imported and the network runs on generated faces.

        progress: called with rounds (done, total). Returns the report. Raises FairLabError as add() does.

        >>> lab.models.preview("/models/w600k_r50.onnx")["embedding_dim"]
        512
        """
        from fairlab.jobs.models.importing import report_of

        return report_of(self._source(file, settings), progress)

    def project(
        self,
        models: Sequence[str | Run],
        dataset: str = "",
        settings: Projection | None = None,
        *,
        images: int | Literal["all"] | None = None,
        **changes: Any,
    ) -> Run:
        """Start the job that draws the maps (UMAP) of these models' spaces, so that they compare.

        models: handles or run ids; the first common space is the reference. dataset: one that all have embedded (default:
        the one that they were trained on). images: how many to lay out, people whole, or "all", up to a million (default:
        settings.max_points). changes: fields of Projection, e.g. neighbours=30. Returns the job. Raises FairLabError where the
        models have no data set in common.

        >>> lab.models.project([teacher, student], images="all").wait()
        >>> student.map().show()
        """
        names = run_ids(models)
        if images is not None:
            changes["max_points"] = MOST_POINTS if images == "all" else images
        chosen = settings_of(Projection, settings, changes)
        return Run(self._workspace, starts.project(self._workspace, names, chosen, dataset))

    def repair_methods(self) -> pd.DataFrame:
        """The repairs of scores without training that model.repair() knows.

        Returns a DataFrame with method, title, source, needs (embeddings or scores), group_label (whose it needs when used),
        changes, cohort_per_group (people in its source; 0: not said) and oracle (needs true labels to show what is possible).

        >>> lab.models.repair_methods()[["title", "group_label", "changes"]]
        """
        from fairlab.compare.repairs import methods

        return methods()

    def measure_moved(
        self, before: str | Run, after: str | Run, dataset: str = "", settings: Moved | None = None, **changes: Any
    ) -> Run | None:
        """Start the job that measures what moved between two models' spaces of the same images.

        before, after: handles or run ids. dataset: one that both have embedded (default: the one that they were trained on).
        changes: fields of Moved, e.g. neighbours=20. Returns the job, None where moved() has the result already. Raises
        FairLabError for one model, and where no data set is embedded by both.

        >>> job = lab.models.measure_moved(teacher, student)
        >>> job.wait() if job else None
        """
        one, other = run_ids([before, after])
        chosen = settings_of(Moved, settings, changes)
        job = starts.measure_moved(self._workspace, one, other, chosen, dataset)
        return Run(self._workspace, job) if job else None

    def moved(
        self, before: str | Run, after: str | Run, dataset: str = "", settings: Moved | None = None, **changes: Any
    ) -> StoredMove:
        """What moved between two models' spaces, as measure_moved() found it; arguments as there.

        Returns tables: `numbers` (a number of all or of a group with its 95 % interval over people: overlap 0..1, shares whose
        nearest other image is the same person, CKA), `images` (overlap, and rank of the same person before and after, of
        each image), `near` (neighbours of those that moved most), and `facts`. Raises FairLabError where nothing was
        measured with these settings.

        >>> lab.models.moved(teacher, student).numbers.query("measure == 'overlap'")
        >>> lab.models.moved(teacher, student).images.nsmallest(10, "overlap")
        """
        from fairlab.store.moved import find_moved

        records = [read_run(self._workspace, name) for name in run_ids([before, after])]
        dataset = starts.moved_on(records, dataset)
        found = find_moved(records[0], records[1], dataset, settings_of(Moved, settings, changes))
        if found is None:
            raise FairLabError(
                f"what moved from {records[0].run_id} to {records[1].run_id} on {dataset} was not measured; `fairlab models "
                f"moved {records[0].run_id} {records[1].run_id} --data {dataset}` measures it"
            )
        return found

    def export_scores(
        self,
        models: Sequence[str | Run],
        path: str | Path,
        dataset: str = "",
        *,
        kind: str = "bob",
        pairs: str = "test",
        overwrite: bool = False,
    ) -> Path:
        """Write models' scores on a pair list as a table that other tools read.

        kind: "bob" (one model) or "bfw" (any number). dataset: default the one that the first was trained on. Returns the
        path. Raises FairLabError where a model was not evaluated there, Refused for a file that exists, unless `overwrite`.

        >>> lab.models.export_scores(lab.models, "scores.csv", "rfw", kind="bfw")
        """
        from fairlab.compare.score_tables import export_scores

        names = run_ids(models)
        dataset = dataset or read_run(self._workspace, names[0]).dataset
        out = Path(path).expanduser().absolute()
        export_scores(self._workspace, names, dataset, out, kind, pairs, overwrite)
        return out

    def _source(self, file: str | Path | ModelFile, settings: dict[str, Any]) -> ModelFile:
        given = file if isinstance(file, ModelFile) else None
        return settings_of(ModelFile, given, settings if given else {**settings, "path": str(file)})
