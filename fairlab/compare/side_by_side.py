"""Any runs side by side: what differs in their settings, their curves in one table, their numbers and paired differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairlab.compare import routing
from fairlab.errors import FairLabError
from fairlab.evaluation.routing import ROUTED, SEEN
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import EVENTS, TEXT, Table
from fairlab.workspace import Workspace

MOST = 50
"""Runs side by side; more curves in one figure cannot be told apart."""
ROUTING = {"entropy": "routing/entropy", "own_rate": "routing/own_rate", "information_bits": "routing/information_bits"}
"""What the measures of a routing are called among the readings."""
UNUSED, ABSENT = "not used", ""
"""How a setting is shown of a run that has no such part, and of one whose part has no such setting."""


def records_of(workspace: Workspace, run_ids: Iterable[str]) -> list[RunRecord]:
    """The records of these runs, each once, in the order given.

    Raises FairLabError for a run that is not there (any more), for fewer than two, and for more than MOST.
    """
    names = list(dict.fromkeys(run_ids))
    if not 2 <= len(names) <= MOST:
        raise FairLabError(f"choose 2 to {MOST} runs to see side by side, not {len(names)}")
    return [read_run(workspace, name) for name in names]


def titles_of(records: Sequence[RunRecord]) -> dict[str, str]:
    """What each run is called beside the others, by its id: its title; with its seed, then its id where titles repeat."""
    titles = Counter(record.title for record in records)
    seeded = {
        record.run_id: record.title if titles[record.title] == 1 else f"{record.title} · seed {record.seed}"
        for record in records
    }
    repeated = Counter(seeded.values())
    return {name: title if repeated[title] == 1 else f"{title} · {name}" for name, title in seeded.items()}


def differing(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Only the settings that are not the same in all of these runs, a row each.

    Columns: setting (dotted), and one per run, named by its id, with the value as text: "" where that run has no such
    setting. A part that a run does not use at all is one row, "not used". dataset, code_version and parents stand behind.
    """
    found = [_facts(record) for record in records]
    rows = []
    for setting in dict.fromkeys(name for facts in found for name in facts):
        values = [facts.get(setting, ABSENT) for facts in found]
        if len(set(values)) > 1 and not _told_above(setting, found):
            rows.append([setting, *values])
    return Table(setting=TEXT, **{record.run_id: TEXT for record in records}).build(rows)


def _facts(record: RunRecord) -> dict[str, str]:
    facts = dict(_flat(record.config.model_dump(mode="json")))
    about = {"dataset": record.dataset, "code_version": record.code_version, "parents": ", ".join(record.parents)}
    return {name: facts.pop(name) for name in ("role", "method", "seed") if name in facts} | facts | about


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted settings and their values as text; a part that holds settings is "used", which its absence differs from."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{name}", "used"
            yield from _flat(value, f"{prefix}{name}.")
        elif value is None:
            yield f"{prefix}{name}", UNUSED
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", str(value)


def _told_above(setting: str, found: Sequence[Mapping[str, str]]) -> bool:
    """Does this setting differ only in that some runs do not use the part it belongs to?"""
    part = setting.rpartition(".")[0]
    if not part or all(facts.get(part) == "used" for facts in found):
        return False
    return len({facts.get(setting, ABSENT) for facts in found if facts.get(part) == "used"}) < 2


def readings(workspace: Workspace, record: RunRecord, events: pd.DataFrame) -> pd.DataFrame:
    """A run's readings (tables.EVENTS) with what its routing amounts to among them, at the last step of each epoch."""
    if not routing.routes(record) or events.empty:
        return events
    measures = routing.measures(workspace, record, events)
    last = events.groupby("epoch")[["step", "time_s"]].max()
    rows = [
        (record.run_id, int(last.loc[row["epoch"] - 1, "step"]), row["epoch"] - 1, name, row[of], last.loc[row["epoch"] - 1, "time_s"])
        for row in measures.to_dict("records")
        for of, name in ROUTING.items()
        if np.isfinite(row[of])
    ]  # fmt: skip
    return EVENTS.stack([events, EVENTS.build(rows)])


def quantities(events: pd.DataFrame) -> list[str]:
    """Which readings there are curves of, the ones that people look at first; a loss term that is always 0 is none."""
    largest = events.assign(value=events["value"].abs()).groupby("name", sort=False)["value"].max()
    names = [str(name) for name, most in largest.items() if most > 0 or name not in ("identity", "distillation")]
    order = ("loss", "identity", "distillation", "validation_accuracy", "lr", *ROUTING.values(), "grad_norm")

    def place(name: str) -> tuple[int, str]:
        whole = name.partition("/")[0] if name.startswith("validation_accuracy/") else name
        return (order.index(whole) if whole in order else len(order), name)

    return sorted((name for name in names if not name.startswith((SEEN, ROUTED))), key=place)
