"""A run's scored pairs with their people redrawn, kept in memory so that moving the operating point takes a blink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from fairlab.compare.scored import attributes_of, on_side, scored
from fairlab.data.dataset import Dataset
from fairlab.data.selections import Chosen
from fairlab.evaluation.fairness_report import FairnessReport, groups_of, report_on
from fairlab.evaluation.fdr_curve import FdrCurve, fdr_curve
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.report import Results, evaluate_groups
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.settings.study import Evaluation
from fairlab.store.results import pairs_of, results_facts
from fairlab.store.runs import RunRecord, read_run
from fairlab.ui.frame import cached
from fairlab.ui.frame.pickers import choose_many
from fairlab.workspace import Workspace

MANY = 400_000
"""Pairs; with more, pages show what was stored (IJB-B has 8 million)."""


@dataclass(frozen=True)
class Evidence:
    """What a run said of one list of pairs. Nothing in it may be changed: sessions share it."""

    run_id: str
    protocol: str
    pairs: ScoredPairs
    groups: tuple[GroupPairs, ...]
    settings: Evaluation
    key: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was noted when the run was judged."""
    stored: Results | None = None
    """The numbers of that time, where the groups are the data set's own and everybody counts."""
    chosen: Chosen | None = None
    """The side of a selection that these pairs are of."""

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in the order of every figure."""
        return tuple(group.name for group in self.groups)


def pick_attributes(data: Dataset) -> tuple[str, ...]:
    """What the groups are values of: nothing chosen is the data set's own; several make combinations."""
    known = attributes_of(data)
    if len(known) < 2:
        return ()
    chosen = choose_many(
        "Groups by",
        known,
        "by",
        {},
        placeholder=data.attribute,
        help="Attributes of the people. Two or more form groups of their combinations, e.g. of every ethnicity and "
        "gender; pairs across groups are then left out.",
    )
    return () if chosen == [data.attribute] else tuple(chosen)


def evidence(
    lab: Workspace,
    run: RunRecord,
    data: Dataset,
    protocol: str,
    by: Sequence[str] = (),
    chosen: Chosen | None = None,
) -> Evidence:
    """The pairs of one protocol as a run scored them, of all people or on one side of a selection. Raises FairLabError
    when it did not, and for a selection that leaves no pair.
    """
    stamp = cached.stamp_of_results(lab, run.run_id, data.dataset_id)
    side = chosen.key if chosen else ()
    return _evidence(
        (str(lab.home), run.run_id, data.dataset_id, protocol), tuple(by), stamp, side, (lab, data, chosen)
    )


@st.cache_resource(max_entries=4, show_spinner="Resampling people ...")
def _evidence(
    about: tuple[str, str, str, str],
    by: tuple[str, ...],
    stamp: int,
    side: tuple[str, ...],
    _opened: tuple[Workspace, Dataset, Chosen | None],
) -> Evidence:
    """about: workspace, run, data set and protocol; side: the key of the chosen side of a selection."""
    _, run_id, dataset_id, protocol = about
    lab, data, chosen = _opened
    record = read_run(lab, run_id)
    facts = results_facts(record.folder, dataset_id)
    asked = Evaluation.model_validate(facts["settings"])
    pairs = scored(record, data, protocol, by, chosen)
    drawn = groups_of(pairs, asked.bootstrap, asked.seed)
    order = {name: number for number, name in enumerate(data.groups)}
    drawn.sort(key=lambda group: (order.get(group.name, len(order)), group.name))
    key = (*about, *by, *side, str(stamp))
    notes = tuple(facts.get("notes", ()))
    stored = None if by or chosen else stored_results(lab, run_id, dataset_id, protocol)
    return Evidence(run_id, protocol, pairs, tuple(drawn), asked, key, notes, stored, chosen)


def report(found: Evidence, point: OperatingPoint) -> FairnessReport:
    """All numbers at an operating point."""
    return _report(found.key, point.name, found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _report(key: tuple[str, ...], point: str, _found: Evidence) -> FairnessReport:
    asked = _found.settings
    return report_on(_found.pairs, list(_found.groups), OperatingPoint.of(point), asked.bootstrap, asked.seed)


def results(found: Evidence) -> Results:
    """What an evaluation stores, of these groups: read where they are the data set's own, made otherwise."""
    return found.stored or _results(found.key, found)


def stored_results(lab: Workspace, run_id: str, dataset_id: str, protocol: str) -> Results:
    """The numbers on one protocol as they were stored when the run was judged."""
    tables = (cached.results(lab, run_id, dataset_id, name) for name in ("metrics", "curves"))
    metrics, curves = (table[table["protocol"] == protocol] for table in tables)
    return Results(metrics, curves, [])


def too_many(run: RunRecord, data: Dataset, protocol: str, chosen: Chosen | None = None) -> bool:
    """Are there more pairs (on the chosen side of a selection) than people can be redrawn for while somebody waits?"""
    pairs = pairs_of(run.folder, data, protocol)
    if len(pairs) <= MANY or chosen is None:
        return len(pairs) > MANY
    return len(on_side(data, pairs, chosen)[0]) > MANY


@st.cache_resource(max_entries=8, show_spinner="Evaluating these groups ...")
def _results(key: tuple[str, ...], _found: Evidence) -> Results:
    return evaluate_groups(_found.run_id, _found.protocol, list(_found.groups), _found.settings)


def fdr_of(found: Evidence) -> FdrCurve:
    """The fairness discrepancy rate over all operating points."""
    return _fdr(found.key, found)


@st.cache_resource(max_entries=16, show_spinner=False)
def _fdr(key: tuple[str, ...], _found: Evidence) -> FdrCurve:
    return fdr_curve(_found.groups, _found.settings.seed)
