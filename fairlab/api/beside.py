"""Runs side by side, as `lab.runs.compare` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from fairlab.compare import paired_runs, side_by_side
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.events import Curves
from fairlab.store.runs import RunRecord
from fairlab.tables import EVENTS
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.plots.colours import Figure


class SideBySide:
    """Several runs side by side: what differs in their settings, their curves, their numbers.

    >>> both = lab.runs.compare(["student-eaf-kd-s0-1f2e3d4c", "student-without-kd-s0-5a6b7c8d"])
    >>> both.settings
    >>> both.differences()[["run_id", "group", "metric", "difference", "low", "high", "p"]]
    """

    def __init__(self, workspace: Workspace, records: Sequence[RunRecord]) -> None:
        self._workspace, self._records = workspace, list(records)

    def __repr__(self) -> str:
        return f"<{len(self._records)} runs side by side: settings, readings(), curves(), numbers(), differences()>"

    @property
    def titles(self) -> dict[str, str]:
        """What each run is called here, by its id; a title that several have is told apart by seed or id."""
        return side_by_side.titles_of(self._records)

    @cached_property
    def settings(self) -> pd.DataFrame:
        """Only the settings that differ. A DataFrame with setting, and a column of texts per run, named by its id."""
        return side_by_side.differing(self._records)

    @property
    def lists(self) -> list[tuple[str, str]]:
        """(data set, pair list or protocol) on which at least one of the runs has numbers, most runs first."""
        return paired_runs.judged_lists(self._records)

    def readings(self) -> pd.DataFrame:
        """The readings of all runs, thinned for drawing, with the measures of routings ("routing/entropy" ...).

        Returns a DataFrame with run_id, step, epoch, name, value and time_s.

        >>> both.readings().query("name == 'loss'").groupby("run_id")["value"].last()
        """
        each = (
            side_by_side.readings(self._workspace, record, Curves(record.folder).table()) for record in self._records
        )
        return EVENTS.stack(each)

    def curves(
        self,
        *quantities: str,
        smoothing: float = 0.0,
        across: str = "step",
        log_x: bool = False,
        log_y: bool = False,
    ) -> Figure:
        """The runs' curves over each other, a panel per reading.

        quantities: names of readings, default all. smoothing: 0 to below 1, how much of the mean of the readings before is
        kept. across: step, epoch or time. Returns a plotly figure. Raises FairLabError for a reading that no run has.

        >>> both.curves("loss", "validation_accuracy", smoothing=0.9, log_y=True).show()
        """
        from fairlab.plots.overlay import Look, overlay

        events = self.readings()
        known = side_by_side.quantities(events)
        if unknown := [name for name in quantities if name not in known]:
            raise FairLabError(
                f"none of these runs has readings of {unknown[0]!r}; there are: {', '.join(known) or 'none'}"
            )
        look = Look(smoothing, across, log_x, log_y)
        return overlay(events, self.titles, quantities or known, look)

    def numbers(self, dataset: str = "", pairs: str = "") -> pd.DataFrame:
        """The stored numbers of the runs on one list of pairs.

        dataset, pairs: default the first of `lists`. Returns a DataFrame with run_id, protocol, group, metric,
        operating_point, value, low, high (95 %), genuine_pairs and impostor_pairs; fractions.

        >>> both.numbers().query("metric == 'mean_accuracy'")[["run_id", "value", "low", "high"]]
        """
        dataset, pairs = self._list(dataset, pairs)
        return paired_runs.numbers(self._records, dataset, pairs)

    def differences(self, baseline: str = "", dataset: str = "", pairs: str = "", at_fmr: float = 0.01) -> pd.DataFrame:
        """Every run minus one of them, on the same pairs and the same resampled people.

        baseline: a run id, default the first run. dataset, pairs: default the first of `lists`. at_fmr: the FMR, of all
        impostors together, that each run's own threshold is set at. Returns a DataFrame with run_id, baseline, group, metric,
        difference, low, high (95 %), p, detectable, draws and why: the reason where there is no number or no interval.

        >>> both.differences(at_fmr=0.001).query("metric == 'fnmr'")
        """
        dataset, pairs = self._list(dataset, pairs)
        point = OperatingPoint("pooled", at_fmr)
        data = open_dataset(self._workspace.dataset(dataset))
        return paired_runs.differences(self._records, baseline or self._records[0].run_id, data, pairs, point)

    def _list(self, dataset: str, pairs: str) -> tuple[str, str]:
        known = self.lists
        wanted = [key for key in known if dataset in ("", key[0]) and pairs in ("", key[1])]
        if not wanted:
            there = ", ".join(f"{pair} of {data}" for data, pair in known)
            raise FairLabError(
                f"none of these runs has such numbers; there are: {there or 'none yet, evaluate them first'}"
            )
        return wanted[0]
