"""`lab.runs`: all runs, and the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from fairlab.api.arguments import run_ids
from fairlab.api.model import Model
from fairlab.api.repaired import Repaired
from fairlab.api.run import Run
from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.plan.records import REPAIR
from fairlab.queue import edit, launch
from fairlab.queue.progress import Progress, progress, sentence
from fairlab.store.database import list_runs
from fairlab.store.finding import matching
from fairlab.store.runs import SPACES, read_run
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.api.beside import SideBySide
    from fairlab.compare.report.document import Report


class Runs:
    """The runs of a workspace, by run id, oldest first; the runs that are models come as models.

    >>> lab.runs.table()[["run_id", "status"]]
    >>> lab.runs["maps-s0-1f2e3d4c"].log
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        counts = self.table()["status"].value_counts()
        words = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
        return f"<runs: {words}; table(), [run_id], queue()>"

    def __len__(self) -> int:
        return len(self.table())

    def __iter__(self) -> Iterator[Run]:
        return (self[name] for name in self.table()["run_id"])

    def __getitem__(self, run_id: str) -> Model | Run:
        """A run by id; one that is damaged can still be deleted. Raises FairLabError when it does not exist."""
        try:
            record = read_run(self._workspace, run_id)
        except Damaged:
            return Run(self._workspace, run_id)
        if record.method == REPAIR:
            return Repaired(self._workspace, run_id)
        kind = Model if record.role in SPACES and record.method != "inspect" else Run
        return kind(self._workspace, run_id)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.table()["run_id"])

    def table(self) -> pd.DataFrame:
        """All runs, oldest first.

        Returns a DataFrame with run_id, title, study, role, method, status, reason, stage, progress (0..1), eta_s, rate,
        unit, train_s, tags, note, star and more.

        >>> lab.runs.table().query("status == 'failed'")["reason"]
        """
        return list_runs(self._workspace)

    def find(
        self,
        words: str = "",
        *,
        tags: Sequence[str] = (),
        starred: bool = False,
        status: Sequence[str] = (),
        role: Sequence[str] = (),
    ) -> pd.DataFrame:
        """The runs whose title, id, method, study, tags or note hold all of these words. Returns a DataFrame as table() does.

        tags: only runs with all of these. starred: only those with a star. status, role: only of these.

        >>> lab.runs.find("eaf", tags=["table 2"], status=["done"])
        """
        return matching(self.table(), words, status, role, tags, starred)

    def report(
        self,
        runs: Sequence[str | Run],
        dataset: str = "",
        pairs: str = "test",
        at_fmr: float = 0.01,
        faces: bool = False,
    ) -> Report:
        """A report of one or more models on one list of pairs, with the fields of ISO/IEC 19795-10 as far as they are known.

        runs: handles or run ids; further ones are compared with the first, paired. dataset: default: the one that the first was
        trained on. at_fmr: false match rate 0..1 of all groups at which the threshold is set. faces: with the pairs of faces
        that the first decides most wrongly. Returns a Report; html(), markdown(), as_json() and write() are its forms. Raises
        FairLabError for a run without numbers on these pairs.

        >>> lab.runs.report([student, baseline]).write("report.html")
        """
        from fairlab.compare.report.content import Subject, report_of
        from fairlab.evaluation.fairness_report import point_of

        records = tuple(dict.fromkeys(read_run(self._workspace, name) for name in run_ids(runs)))
        if not records:
            raise FairLabError("a report needs at least one run with numbers")
        name = dataset or records[0].dataset
        if not name:
            raise FairLabError(f"{records[0].run_id} was trained elsewhere: name the data set too")
        data = open_dataset(self._workspace.dataset(name))
        return report_of(Subject(self._workspace, records, data, pairs, point_of(at_fmr, None, None), faces))

    def queue(self) -> pd.DataFrame:
        """What works and what waits, in starting order; what may start is started.

        Returns a DataFrame with place (1 starts next, 0 works), run_id, title, study, seed, status, waits_for, engine and
        devices.

        >>> lab.runs.queue()[["place", "title", "waits_for"]]
        """
        launch.dispatch(self._workspace)
        return edit.queue_table(self._workspace)

    def progress(self) -> Progress:
        """How far all runs are. Returns a Progress with counts, share (0..1), left_s and source.

        >>> lab.runs.progress().share
        0.25
        """
        return progress(self._workspace)

    def outlook(self) -> str:
        """How far all runs are. Returns a sentence.

        >>> lab.runs.outlook()
        '12 of 50 done, about 3 h 05 min left (from the 12 done)'
        """
        return sentence(self.progress())

    def first(self, runs: Sequence[str | Run]) -> None:
        """Start these runs before all others, with what they build on. Raises Refused for a run that does not wait.

        >>> lab.runs.first([run])
        """
        edit.first(self._workspace, run_ids(runs))

    def earlier(self, runs: Sequence[str | Run]) -> None:
        """Move these runs one place up in the queue. Raises Refused for a run that does not wait.

        >>> lab.runs.earlier([run])
        """
        edit.earlier(self._workspace, run_ids(runs))

    def later(self, runs: Sequence[str | Run]) -> None:
        """Move these runs one place down in the queue. Raises Refused for a run that does not wait.

        >>> lab.runs.later([run])
        """
        edit.later(self._workspace, run_ids(runs))

    def hold(self, runs: Sequence[str | Run]) -> None:
        """Keep these waiting runs from starting. Raises Refused for a run that does not wait.

        >>> lab.runs.hold(["student-eaf-kd-s0-1f2e3d4c"])
        """
        edit.hold(self._workspace, run_ids(runs))

    def release(self, runs: Sequence[str | Run]) -> None:
        """Let held runs start. Raises Refused for a run that does not wait.

        >>> lab.runs.release(["student-eaf-kd-s0-1f2e3d4c"])
        """
        edit.release(self._workspace, run_ids(runs))

    def compare(self, runs: Sequence[str | Run]) -> SideBySide:
        """These runs side by side, 2 to 50 of them: what differs in their settings, curves, numbers, paired differences.

        Returns a SideBySide: settings, readings(), curves(), numbers(), differences(). Raises FairLabError for a run that is
        not there.

        >>> lab.runs.compare(["student-eaf-kd-s0-1f2e3d4c", "student-without-kd-s0-5a6b7c8d"]).settings
        """
        from fairlab.api.beside import SideBySide
        from fairlab.compare.side_by_side import records_of

        return SideBySide(self._workspace, records_of(self._workspace, run_ids(runs)))

    def stop(self, runs: Sequence[str | Run], force: bool = False) -> list[str]:
        """Stop those of these runs that wait or work; none takes the slot of another meanwhile. Returns their ids.

        >>> lab.runs.stop(study.runs()["run_id"])
        """
        return launch.stop_all(self._workspace, run_ids(runs), force)

    def place(self, runs: Sequence[str | Run], where: Mapping[str, Any]) -> None:
        """Change where runs are to work that wait, or that ended and can be resumed.

        where: dotted settings of their placement. Raises Refused for a run that works or is done, FairLabError for an
        unknown engine or setting.

        >>> lab.runs.place([run], {"engine": "slurm", "slurm.partition": "gpu"})
        """
        edit.where(self._workspace, run_ids(runs), where)
