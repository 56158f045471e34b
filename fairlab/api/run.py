"""A handle of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from fairlab.api.labelled import Labelled
from fairlab.api.watching import watch
from fairlab.errors import FairLabError
from fairlab.files import read_json, there
from fairlab.queue import edit, launch
from fairlab.settings.placement import Placement
from fairlab.store.runs import Live, RunRecord, read_run, state
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.api.reasons import Quality, Reasons
    from fairlab.compare.pairs import Where
    from fairlab.data.dataset import Dataset
    from fairlab.evaluation.error_pairs import Among, ErrorKind, Kind
    from fairlab.plots.colours import Figure
    from fairlab.storage.deleting import Goes


class Run(Labelled):
    """A run: a training, an evaluation, or another job. It works in a process of its own, whatever this process does.

    >>> run = lab.runs["student-eaf-kd-s0-1f2e3d4c"]
    >>> run.status, run.title
    ('done', 'Student EAF-KD (DLDPO, balanced)')
    """

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self._workspace, self.run_id = workspace, run_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run_id}: {self.title}, {self.status}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and (self._workspace, self.run_id) == (other._workspace, other.run_id)

    def __hash__(self) -> int:
        return hash(self.run_id)

    @cached_property
    def record(self) -> RunRecord:
        """What the run is: settings, parents, data set, seed. It never changes."""
        return read_run(self._workspace, self.run_id)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._workspace.run(self.run_id)

    @property
    def title(self) -> str:
        """What the run is called."""
        return self.record.title

    @property
    def role(self) -> str:
        """What the run is for: teacher, adaptor, baseline, student, model, dataset, embedding, evaluation or projection."""
        return self.record.role

    @property
    def dataset(self) -> str:
        """Name of the data set that the run works on, "" for none."""
        return self.record.dataset

    @property
    def state(self) -> Live:
        """How the run stands now: status, reason, stage, progress 0..1, eta_s, rate and its unit."""
        return state(self.folder)

    @property
    def status(self) -> str:
        """Queued, running, done, failed, stopped or crashed."""
        return self.state.status

    @property
    def parents(self) -> list[Run]:
        """The runs that this one builds on."""
        return [Run(self._workspace, name) for name in self.record.parents]

    @property
    def log(self) -> str:
        """What the run printed; "" before it starts."""
        path = self.folder / "log.txt"
        return path.read_text(encoding="utf-8", errors="replace") if there(path) else ""

    @property
    def report(self) -> dict[str, Any]:
        """What a run that reads files understood of them. Raises FairLabError for a run without a report."""
        return read_json(self.folder / "report.json")

    def events(self) -> pd.DataFrame:
        """The readings of a training. Returns a DataFrame with run_id, step, epoch, name, value and time_s.

        >>> run.events().query("name == 'loss'").plot("step", "value")
        """
        from fairlab.store.events import read_events

        return read_events(self.folder)

    def curves(self) -> Figure:
        """The loss and its terms over the steps of a training. Returns a plotly figure.

        >>> run.curves().show()
        """
        from fairlab.plots.training import loss_figure

        return loss_figure(self.events())

    def routing(self) -> pd.DataFrame:
        """Where a student of several teachers routed the images of each group, epoch by epoch.

        Returns a DataFrame with epoch (from 1), group, teacher, images (of the group), routed (times) and share (0..1);
        without rows before it routes. Raises FairLabError for a run of another method.

        >>> run.routing().pivot_table(index="group", columns="teacher", values="share")
        """
        from fairlab.compare import routing

        return routing.shares(self._workspace, self.record, self.events())

    def routing_measures(self) -> pd.DataFrame:
        """What the routing of a student of several teachers amounts to, a row per epoch.

        Returns a DataFrame with epoch (from 1), entropy (over log n, 0..1), information_bits (group and teacher), own_rate
        (to the group's own teacher, NaN without one), chance (1 / n), chosen_kl, other_kl, chosen_ce, other_ce. Raises
        FairLabError for a run of another method.

        >>> run.routing_measures().iloc[-1]["information_bits"]
        0.013
        """
        from fairlab.compare import routing

        return routing.measures(self._workspace, self.record, self.events())

    def routing_meaning(self) -> str:
        """What the gate of a student of several teachers learns from: its routing need not be learnt.

        Returns a sentence. Raises FairLabError for a run that is no such student.

        >>> print(run.routing_meaning())
        """
        from fairlab.compare import routing

        routing.teachers_of(self._workspace, self.record)
        return routing.meaning(self.record)

    def pairs(
        self,
        kind: Kind = "false-match",
        group: str = "",
        person: str = "",
        against: str = "",
        *,
        other_group: str = "",
        among: Among = "here",
        at_fmr: float | None = None,
        threshold: float | None = None,
        own_fmr: float | None = None,
        dataset: str = "",
        pairs: str = "test",
        by: Sequence[str] = (),
    ) -> pd.DataFrame:
        """The pairs of faces behind the error rates at an operating point, the worst first.

        kind: "false-match", "false-non-match", or "nearest" (to the threshold). group, other_group, person: of the two people.
        against: run id of a second model on the same pairs; among: "here" (errors of this model), "only-here" (right in the
        second), "both", "only-there". at_fmr (0.01 if nothing is given), threshold, own_fmr: as in fairness_report(). pairs: a list,
        or "all_pairs": the hardest impostors of all comparisons, at most 200 of every two groups.
        Returns a DataFrame with pair_id, genuine, match, score, threshold, distance, groups, identities, images, the second
        model's columns (..._there) and attributes. Raises FairLabError without scores, and for an unknown name.

        >>> run.pairs("false-match", group="African", at_fmr=0.001).head()[["identity_a", "identity_b", "score"]]
        """
        from fairlab.compare.hardest import any_pairs
        from fairlab.evaluation.error_pairs import Wanted

        where = self._where(dataset, pairs, by, (at_fmr, threshold, own_fmr))
        second = read_run(self._workspace, against) if against else None
        return any_pairs(self.record, where, Wanted(kind, group, other_group, person, among), second)

    def people(
        self,
        kind: ErrorKind = "false-match",
        group: str = "",
        table: str = "people",
        *,
        at_fmr: float | None = None,
        threshold: float | None = None,
        own_fmr: float | None = None,
        dataset: str = "",
        pairs: str = "test",
        by: Sequence[str] = (),
    ) -> pd.DataFrame:
        """The people behind the error rates at an operating point, those with most errors first.

        kind: "false-match" or "false-non-match". table: "people" (errors of each, with counts, Clopper-Pearson interval and
        kinds), "shares" (of all errors, made by the worst 1, 5 and 10 %), "lorenz", "zoo" (goats, lambs or wolves, chameleons,
        phantoms, doves, worms, and how many by chance), "differ" (do people differ?). Others as in pairs(). Returns a
        DataFrame; rates and shares are fractions. Raises FairLabError without scores, and for an unknown name.

        >>> run.people("false-non-match", group="African").head()[["identity", "false_non_matches", "genuine_pairs", "zoo"]]
        >>> run.people(table="shares", at_fmr=0.001)
        """
        from fairlab.compare.people import people_behind

        where = self._where(dataset, pairs, by, (at_fmr, threshold, own_fmr))
        return people_behind(self.record, where).table(table, kind, group)

    def quality(
        self,
        trait: str = "norm",
        kind: ErrorKind = "false-non-match",
        rule: Literal["shared", "each"] = "shared",
        most: float = 0.2,
        *,
        at_fmr: float | None = None,
        threshold: float | None = None,
        own_fmr: float | None = None,
        dataset: str = "",
        pairs: str = "test",
        by: Sequence[str] = (),
    ) -> Quality:
        """Error against discard: the error rates as the pairs of the worst images are left out, at a threshold that stays.

        trait: of the images, larger is better, "-yaw" for smaller is better; "norm" is the length of this run's embeddings. rule:
        "shared", one limit of quality for all groups, or "each", the same share of every group. most: left out at most, 0..1.
        Others as in pairs(). Returns areas, curves and gaps (DataFrames; rates are fractions with 95 % intervals over people),
        sentences and figure(). Raises FairLabError without scores, and for a trait that there is not.

        >>> run.quality("norm").areas[["group", "rate", "area", "gain", "gain_low", "gain_high"]]
        >>> run.quality("sharpness", at_fmr=0.001).figure()
        """
        from fairlab.api.reasons import quality_of

        where = self._where(dataset, pairs, by, (at_fmr, threshold, own_fmr))
        return quality_of(self.record, where, (trait, kind, rule, most))

    def causes(
        self,
        traits: Sequence[str] = (),
        kind: ErrorKind = "false-non-match",
        outcome: Literal["error", "score"] = "error",
        *,
        at_fmr: float | None = None,
        threshold: float | None = None,
        own_fmr: float | None = None,
        dataset: str = "",
        pairs: str = "test",
        by: Sequence[str] = (),
    ) -> Reasons:
        """Which traits of the images go with errors, and what of each group's gap remains when they are held equal.

        traits: names in data.traits, or "norm"; none means the data set's own. outcome: a logistic regression of the error, or a
        linear one of the score. Others as in pairs(). Returns gaps, effects and shares (DataFrames; rates are fractions with
        95 % intervals over people), sentences, notes, figure() and effects_figure(). It is association, not cause. Raises
        FairLabError without scores, and for a trait that there is not.

        >>> run.causes(["sharpness", "brightness"]).gaps[["group", "gap", "remains", "remains_low", "remains_high"]]
        >>> run.causes(kind="false-match", at_fmr=0.01).effects
        """
        from fairlab.api.reasons import causes_of

        where = self._where(dataset, pairs, by, (at_fmr, threshold, own_fmr))
        return causes_of(self.record, where, (tuple(traits), kind, outcome))

    def _where(
        self, dataset: str, pairs: str, by: Sequence[str], point: tuple[float | None, float | None, float | None]
    ) -> Where:
        """The pairs and the operating point asked for. point: at_fmr, threshold and own_fmr."""
        from fairlab.compare.pairs import Where
        from fairlab.evaluation.fairness_report import point_of

        return Where(self._judged(dataset), pairs, point_of(*point), tuple(by))

    def _judged(self, dataset: str) -> Dataset:
        """The data set named, or else the run's own."""
        from fairlab.data.dataset import open_dataset

        if not (dataset or self.dataset):
            raise FairLabError(f"{self.run_id} was trained elsewhere: name the data set too")
        return open_dataset(self._workspace.dataset(dataset or self.dataset))

    def wait(self, show: bool = True) -> Self:
        """Wait until the run is done, with progress and time left; an interruption leaves it alone.

        Returns the run. Raises FairLabError, with the reason, when the run ends otherwise or cannot start.

        >>> model.evaluate("rfw").wait()
        """
        watch(self._workspace, [self.run_id], show)
        return self

    def stop(self, force: bool = False) -> None:
        """Let the run save and end; one that waits is cancelled.

        force: end its process now; its last checkpoint stays. Raises Refused for a run that has ended.

        >>> run.stop()
        """
        launch.stop(self._workspace, self.run_id, force)

    def resume(self, other_data: bool = False, where: Mapping[str, Any] | None = None) -> Self:
        """Queue the run again after a stop, a failure or a crash; it continues from its last checkpoint.

        other_data: continue although the data set has changed since; the run records it. where: dotted settings of its
        placement that change, e.g. {"devices": 2}. Returns the run. Raises Refused for a run in another state.

        >>> run.resume().wait()
        """
        if where:
            edit.where(self._workspace, [self.run_id], where)
        launch.resume(self._workspace, self.run_id, other_data)
        return self

    def clone(self, changes: Mapping[str, Any], where: Mapping[str, Any] | None = None) -> tuple[Run, bool]:
        """Queue a run like this one with dotted settings changed; it has the same parents and study.

        where: dotted settings of its placement that change. Returns (run, new): the same settings are the same run, and
        then nothing starts. Raises FairLabError for an unknown setting, Refused for data and for models from files.

        >>> longer, _ = run.clone({"training.epochs": 40})
        """
        run_id, new = edit.clone(self._workspace, self.run_id, changes, where)
        return type(self)(self._workspace, run_id), new

    def delete(self, force: bool = False) -> None:
        """Delete the run's folder, and the data set that it made.

        Raises Refused while it works, and while others build on it unless `force`. See what_goes().

        >>> run.delete()
        """
        launch.delete(self._workspace, self.run_id, force)

    def what_goes(self) -> Goes:
        """What delete() would delete, without touching it. Returns runs, datasets, bytes, needed_by.

        >>> run.what_goes().bytes
        10485760
        """
        from fairlab.storage.deleting import what_goes

        return what_goes(self._workspace, run=self.run_id)


def placed(workspace: Workspace, where: Placement | Mapping[str, Any] | None) -> Placement | None:
    """A placement from dotted settings; None as it is: each job has its own default."""
    return None if where is None else launch.placement_of(workspace, where)
