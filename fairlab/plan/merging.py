"""The plans of all combinations of varied settings as one: what does not hang on an axis is entered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlab.plan.axes import words
from fairlab.plan.plan import Builder, PlannedRun
from fairlab.plan.portions import Faces, faces


@dataclass(frozen=True)
class Draft:
    """The runs of one combination, with titles that do not tell its values yet."""

    values: Mapping[str, Any]
    builder: Builder
    people: Faces

    @classmethod
    def of(cls, values: Mapping[str, Any], builder: Builder) -> Draft:
        """A draft with the runs that make its faces."""
        return cls(values, builder, faces(builder))


class Merger:
    """Enters the runs of drafts into one plan.

    Drafts have equal ids for equal work, because their titles and those of the parents tell no values. A run hangs on an
    axis if its work is not the same at all values of it; its title then tells the value. Other runs keep the titles, and
    so the ids, that they have in a study without axes.
    """

    def __init__(self, builder: Builder, drafts: Sequence[Draft]) -> None:
        self._builder, self._drafts = builder, drafts
        self._axes = builder.study.grid.vary
        self._ids: dict[str, str] = {}
        """The id in the plan of each draft's run."""

    def enter(self) -> None:
        """Enter what is new in the drafts since the last call; a run is drafted in all of its combinations between two calls."""
        where: dict[str, list[Draft]] = {}
        for draft in self._drafts:
            for run_id in draft.builder.runs:
                if run_id not in self._ids:
                    where.setdefault(run_id, []).append(draft)
        for run_id, drafts in where.items():
            self._ids[run_id] = self._entered(drafts[0].builder.runs[run_id], drafts)
        for draft in self._drafts:
            self._builder.notes += draft.builder.notes

    def ids(self, drafted: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """The ids in the plan of each draft's models, without those of the drafts before; given models keep theirs."""
        found: list[str] = []
        for models in drafted:
            before = set(found)
            found += [name for name in (self._ids.get(model, model) for model in models) if name not in before]
        return tuple(found)

    def unused(self) -> list[str]:
        """Axes that no run hangs on."""
        used = {name for run in self._builder.runs.values() for name in run.varied}
        return [name for name in self._axes if name not in used]

    def _entered(self, run: PlannedRun, drafts: Sequence[Draft]) -> str:
        varied = {}
        for name, values in self._axes.items():
            here = list(dict.fromkeys(draft.values[name] for draft in drafts))
            if len(here) < len(values):
                varied[name] = here[0]
        parents = tuple(self._ids.get(name, name) for name in run.record.parents)
        return self._builder.enter(run, parents, varied, words(varied, list(self._axes)))
