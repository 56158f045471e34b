"""`lab.studies`: planning and starting a study, and a handle of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fairlab.api.arguments import Progress as Counted
from fairlab.api.arguments import settings_of, silent
from fairlab.api.labelled import Labelled
from fairlab.api.run import Run, placed
from fairlab.api.runs import Runs
from fairlab.api.watching import watch
from fairlab.errors import FairLabError
from fairlab.jobs.models import study_folders
from fairlab.plan import estimate
from fairlab.plan.grid import expand, plan_preset
from fairlab.plan.plan import Plan
from fairlab.presets import preset_names
from fairlab.queue import edit, launch
from fairlab.queue.progress import Progress, progress, sentence
from fairlab.settings.placement import Placement
from fairlab.settings.study import StudyFolder, changed
from fairlab.store.finding import matching_studies
from fairlab.store.studies import StudyInfo, read_study, studies
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.compare.front import Front
    from fairlab.plots.colours import Figure
    from fairlab.storage.deleting import Goes


class Study(Labelled):
    """A study: a preset's grid of runs. The same preset with the same settings is the same study.

    >>> study = lab.studies.start("demo_mst_kd")
    >>> study
    <Study demo-mst-kd-1f2e3d4c: 7 of 18 done, about 12 min left (from the 7 done)>
    """

    def __init__(self, workspace: Workspace, study_id: str) -> None:
        self._workspace, self.study_id = workspace, study_id

    def __repr__(self) -> str:
        return f"<Study {self.study_id}: {self.outlook()}>"

    @property
    def info(self) -> StudyInfo:
        """What the study was planned from: title, preset, settings (config), and the ids of its runs."""
        return read_study(self._workspace, self.study_id)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self._workspace.study(self.study_id)

    @property
    def title(self) -> str:
        """What the study is called."""
        return self.info.title

    def runs(self) -> pd.DataFrame:
        """The runs of the study, in the order of its plan. Returns a DataFrame as lab.runs.table() does.

        >>> study.runs()[["title", "status", "progress"]]
        """
        table = Runs(self._workspace).table()
        order = {name: place for place, name in enumerate(self.info.run_ids)}
        table = table[table["run_id"].isin(order)]
        return table.sort_values("run_id", key=lambda names: names.map(order), ignore_index=True)

    def progress(self) -> Progress:
        """How far the study is. Returns a Progress with counts, share (0..1), left_s and source.

        >>> study.progress().counts
        {'done': 7, 'running': 2, 'queued': 9}
        """
        return progress(self._workspace, self.study_id)

    def outlook(self) -> str:
        """How far the study is. Returns a sentence.

        >>> study.outlook()
        '7 of 18 done, about 12 min left (from the 7 done)'
        """
        return sentence(self.progress())

    def wait(self, show: bool = True) -> Study:
        """Wait until all runs are done, with progress and time left; an interruption leaves them alone.

        Returns the study. Raises FairLabError, with the reasons, when a run does not come to its end.

        >>> study.wait().compare()
        """
        watch(self._workspace, list(self.info.run_ids), show)
        return self

    def compare(
        self, dataset: str = "", *, pairs: str = "test", baseline: str | None = None, seed: int | None = None
    ) -> pd.DataFrame:
        """A row per model over its seeds, and per added model, in the papers' layout.

        dataset: default the one that the study trained on. pairs: pair list or protocol. baseline: title or run id to
        compare with (default: the student without distillation). seed: only the runs of this one. Returns a DataFrame in
        points (percent) with 95 % intervals: accuracy:<group>, mean, std, ser, worst, difference, p and more (see
        compare.compare_models); it is empty while nothing is evaluated. Raises FairLabError for an unknown baseline or seed.

        >>> study.compare()[["model", "mean", "std", "ser", "difference", "p"]]
        """
        from fairlab.compare.compare import compare

        return compare(self._workspace, self.study_id, baseline, pairs, dataset, seed)

    def along(self, setting: str, dataset: str = "", *, pairs: str = "test", seed: int | None = None) -> pd.DataFrame:
        """The numbers along one setting that the study varies (grid.vary), a row per model that hangs on it.

        setting: dotted. dataset, pairs, seed: as in compare(). Returns a DataFrame: line (models that differ in this setting alone
        share it), value, run_id, model, runs, and mean, std, ser and worst in points, each with _low and _high (95 %). Raises
        FairLabError for a setting that the study does not vary.

        >>> study.along("student.loss.margin_rad")[["line", "value", "mean", "std"]]
        """
        from fairlab.compare.varied import along

        return along(self.compare(dataset, pairs=pairs, seed=seed), setting)

    def multiples(
        self, measure: str = "mean", dataset: str = "", *, pairs: str = "test", seed: int | None = None
    ) -> Figure:
        """One measure along every setting that the study varies (grid.vary), a panel each with the same scale.

        measure: mean, std, ser or worst. dataset, pairs, seed: as in compare(). Returns a plotly figure. Raises FairLabError for
        a study that varies nothing, and for an unknown measure.

        >>> study.multiples("std").show()
        """
        from fairlab.compare.varied import MEASURES, along, axes_of, headings
        from fairlab.plots.multiples import multiples_figure

        if measure not in MEASURES:
            raise FairLabError(f"there is no measure {measure!r}; choose one of: {', '.join(MEASURES)}")
        table = self.compare(dataset, pairs=pairs, seed=seed)
        titles = headings(table)
        parts = {title: along(table, name) for name, title in zip(axes_of(table), titles.values(), strict=True)}
        return multiples_figure(parts, measure, measure)

    def front(self, measure: str = "std", dataset: str = "", *, pairs: str = "test", seed: int | None = None) -> Front:
        """The front of accuracy against unfairness (Pareto): the models that no other beats in both.

        measure: std, ser or worst. dataset, pairs, seed: as in compare(). Returns a Front: points (a row per model, error and
        unfairness as fractions with 95 % intervals, on_front), left_out (models without the measure), hypervolume,
        hypervolume_shown, and sentences(). Raises FairLabError for an unknown measure.

        >>> study.front("std").points[["model", "error", "unfairness", "on_front"]]
        """
        from fairlab.compare.front import front_of

        return front_of(self.compare(dataset, pairs=pairs, seed=seed), measure)

    def over_sets(self, *sets: str, pairs: str = "test", seed: int | None = None) -> pd.DataFrame:
        """The models on several data sets, in one table.

        sets: names; default: all that a model of the study is evaluated on (see the setting tested_on). pairs, seed: as in
        compare(). Returns a DataFrame: run_id, model, runs, and of each set mean:<set> (mean accuracy over groups, in percent)
        with mean_low:<set> and mean_high:<set> (95 %), and std:<set> where it has several groups. Raises FairLabError for a set
        that no model is evaluated on.

        >>> study.over_sets("rfw", "lfw", "calfw").set_index("model")
        """
        from fairlab.compare.over_sets import over_sets

        return over_sets(self._workspace, self.study_id, sets, seed, pairs)

    def tell(self) -> list[str]:
        """Send how the study stands to the address and program that your configuration names, now, to try them.

        Returns where it went: "notify.url", "notify.command". Raises FairLabError where neither is named or one does not take it.

        >>> study.tell()
        ['notify.url']
        """
        from fairlab.jobs.telling import tell
        from fairlab.queue.endings import endings

        return tell(endings(self._workspace)[self.study_id])

    def stop(self, force: bool = False) -> list[str]:
        """Stop all runs of the study that wait or work, also those it shares with other studies.

        force: end their processes now. Returns the run ids.

        >>> study.stop()
        """
        return edit.stop_study(self._workspace, self.study_id, force)

    def resume(self, where: Mapping[str, Any] | None = None) -> list[str]:
        """Queue all runs of the study again that stopped, failed or crashed.

        where: dotted settings of their placement that change. Returns the run ids.

        >>> study.resume({"devices": 2})
        """
        return edit.resume_study(self._workspace, self.study_id, where)

    def delete(self, force: bool = False) -> Goes:
        """Delete the study with its runs; runs that other studies have too stay.

        force: also where others build on the runs. Returns what was deleted. Raises Refused while a run works.

        >>> study.delete()
        """
        from fairlab.storage.deleting import delete_study

        return delete_study(self._workspace, self.study_id, force)

    def what_goes(self) -> Goes:
        """What delete() would delete, without touching it. Returns runs, datasets, bytes, needed_by, kept.

        >>> study.what_goes().needed_by
        {}
        """
        from fairlab.storage.deleting import what_goes

        return what_goes(self._workspace, study=self.study_id)


class Studies:
    """The studies of a workspace, by study id, newest first, and the presets they start from.

    >>> lab.studies.presets()
    >>> lab.studies.start("demo_quick").wait()
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        count = len(self)
        return f"<{count} stud{'y' if count == 1 else 'ies'}: table(), [study_id], presets(), start()>"

    def __len__(self) -> int:
        return len(self.table())

    def __iter__(self) -> Iterator[Study]:
        return (Study(self._workspace, name) for name in self.table()["study_id"])

    def __getitem__(self, study_id: str) -> Study:
        """A study by id. Raises FairLabError, naming the existing ones, when it does not exist."""
        read_study(self._workspace, study_id)
        return Study(self._workspace, study_id)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.table()["study_id"])

    def table(self) -> pd.DataFrame:
        """All studies, newest first. Returns a DataFrame with study_id, title, preset, created_at, runs, done, tags, note and star.

        >>> lab.studies.table()
        """
        return studies(self._workspace)

    def find(self, words: str = "", *, tags: Sequence[str] = (), starred: bool = False) -> pd.DataFrame:
        """The studies whose title, id, preset, tags or note hold all of these words. Returns a DataFrame as table() does.

        tags: only studies with all of these. starred: only those with a star.

        >>> lab.studies.find("margin", tags=["table 2"])
        """
        return matching_studies(self.table(), words, tags, starred)

    def presets(self) -> list[str]:
        """Names of the presets, in the order in which they are offered. Returns a list.

        >>> lab.studies.presets()[0]
        'demo_mst_kd'
        """
        return preset_names()

    def plan(self, preset: str | Study, settings: Mapping[str, Any] | None = None) -> Plan:
        """The runs that start() would start; nothing is written.

        preset: a preset's name, or an earlier study to vary. settings: dotted settings that change. Returns a Plan: study_id,
        runs (with what is done before), notes. Raises FairLabError for unknown names and settings that cannot work.

        >>> len(lab.studies.plan("demo_mst_kd", {"student.training.epochs": 5}).runs)
        18
        >>> len(lab.studies.plan("demo_mst_kd", {"grid.vary": {"student.loss.margin_rad": [0.1, 0.3]}}).runs)
        21
        """
        if isinstance(preset, Study):
            info = preset.info
            return expand(changed(info.config, settings or {}), info.preset, self._workspace)
        return plan_preset(self._workspace, preset, settings)

    def estimate(self, plan: Plan, say: Callable[[str], None] | None = None) -> estimate.Estimate:
        """What a plan costs; where this machine was not measured for it, a short probe of real steps measures it first.

        say: called with what the probe does. Returns an Estimate: seconds of wall time, cpu_seconds, flops, gpu_seconds,
        and runs, a table with cpu_s of each.

        >>> lab.studies.estimate(lab.studies.plan("demo_mst_kd")).seconds
        840.0
        """
        known = estimate.estimate(self._workspace, plan)
        if known is None:
            estimate.measure(self._workspace, plan, say or (lambda _text: None))
            known = estimate.estimate(self._workspace, plan)
        assert known is not None  # measured just now
        return known

    def disk_bytes(self, plan: Plan) -> int:
        """Bytes that the runs of a plan will write. Returns an estimate, exact to some megabytes after estimate().

        >>> lab.studies.disk_bytes(lab.studies.plan("demo_mst_kd")) / 1e6
        210.5
        """
        return estimate.disk_bytes(self._workspace, plan)

    def start(
        self,
        preset: str | Study | Plan,
        settings: Mapping[str, Any] | None = None,
        *,
        where: Placement | Mapping[str, Any] | None = None,
    ) -> Study:
        """Queue what is not done of a study, and start what fits; the runs work in processes of their own.

        preset, settings: as in plan(), or a plan. where: a placement, or dotted settings of it, e.g. {"devices": 2}. Starting
        twice starts nothing twice; runs that had stopped, failed or crashed are resumed. Returns the study. Raises
        FairLabError for settings that cannot work, an unknown engine, and a disk that is too full.

        >>> study = lab.studies.start("demo_mst_kd", {"seeds": (0, 1, 2)})
        >>> study.wait().compare()
        """
        plan = preset if isinstance(preset, Plan) else self.plan(preset, settings)
        estimate.check_disk(self._workspace, plan)
        launch.start(self._workspace, plan, placed(self._workspace, where))
        return Study(self._workspace, plan.study_id)

    def inspect(self, folder: str | Path | StudyFolder, **settings: Any) -> Run:
        """Start the job that looks at a folder of MST-KD's official checkpoints without importing it.

        settings: fields of StudyFolder. Returns the job; its `report` says what was recognised and which steps were chosen.

        >>> lab.studies.inspect("/models/MST-KD").wait().report["models"]
        """
        return Run(self._workspace, study_folders.inspect_folder(self._workspace, _folder(folder, settings)))

    def preview(self, folder: str | Path | StudyFolder, progress: Counted = silent, **settings: Any) -> dict[str, Any]:
        """As inspect(), in this process: torch is imported and every chosen file is read.

        progress: called with files (done, total). Returns the report. Raises FairLabError for a missing teacher, a folder
        that is not known, two candidates for one model, and files that do not fit.

        >>> [row["title"] for row in lab.studies.preview("/models/MST-KD")["models"]]
        """
        return study_folders.report_of(_folder(folder, settings), progress)

    def import_(
        self,
        folder: str | Path | StudyFolder | Mapping[str, Any],
        dataset: str,
        name: str = "",
        *,
        where: Placement | Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Study:
        """Import a folder of MST-KD's official checkpoints as one study, and evaluate all its models on a data set.

        folder: the folder, or a report of preview() or inspect(). dataset: one with pairs, e.g. RFW. name: what to call the
        study. where: as in start(). All models are queued together, or none; the same call again continues. Returns the
        study. Raises FairLabError as preview() does, and for a data set without pairs.

        >>> lab.studies.import_("/models/MST-KD", "rfw").wait().compare()[["model", "mean", "std", "ser"]]
        """
        study_folders.check_test_set(self._workspace, dataset)
        report = dict(folder) if isinstance(folder, Mapping) else self.preview(folder, **settings)
        placement = placed(self._workspace, where)
        return Study(self._workspace, study_folders.import_study(self._workspace, report, dataset, name, placement))


def _folder(folder: str | Path | StudyFolder, settings: Mapping[str, Any]) -> StudyFolder:
    if isinstance(folder, StudyFolder):
        return settings_of(StudyFolder, folder, settings)
    return settings_of(StudyFolder, None, {**settings, "path": str(folder)})
