"""Error against discard of a run: how its error rates fall as the pairs of the worst images are left out, group by group."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from fairlab.compare.pairs import Where, images_of
from fairlab.compare.scored import scored
from fairlab.compare.traits import number_of, of_pairs, traits_behind
from fairlab.evaluation.discard import Discard, Rule, discard
from fairlab.evaluation.error_pairs import ErrorKind, decided
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS


def quality_behind(
    record: RunRecord,
    where: Where,
    trait: str,
    kind: ErrorKind = "false-non-match",
    rule: Rule = "shared",
    most: float = 0.2,
) -> Discard:
    """The curves of a run's pairs at an operating point, by a trait of which more is better ("-trait": less is better).

    Raises FairLabError where the run has no scores on these pairs, and for a trait that there is not.
    """
    return of_decisions(record, where, decided(scored(record, where.dataset, where.protocol, where.by), where.point), (
        trait, kind, rule, most,
    ))  # fmt: skip


def of_decisions(
    record: RunRecord, where: Where, table: pd.DataFrame, asked: tuple[str, ErrorKind, Rule, float]
) -> Discard:
    """The same of pairs that have been decided (error_pairs.DECIDED)."""
    trait, kind, rule, most = asked
    found = number_of(traits_behind(record, where.dataset), trait.removeprefix("-"), where.dataset)
    if trait.startswith("-"):
        found = replace(found, values=-found.values)
    images = images_of(table, record, where.dataset, where.protocol)
    pairs = pd.DataFrame({f"image_{side}": of for side, of in images.items()})
    quality = of_pairs(where.dataset, pairs, found, "lower")
    return discard(table, quality, kind, rule, most)


def sentences(found: Discard, kind: ErrorKind, trait: str) -> list[str]:
    """What leaving out the worst images does to the rates, and to whom, in words."""
    rate = "FNMR" if kind == "false-non-match" else "FMR"
    by = f"low {trait}" if not trait.startswith("-") else f"high {trait[1:]}"
    areas = found.areas.set_index("group")
    said = [f"{note}." for note in found.notes]
    if ALL_GROUPS in areas.index or len(areas) == 1:
        row = areas.iloc[-1]
        last = found.curves[(found.curves["group"] == row.name).to_numpy()].iloc[-1]
        more = "it falls by more than chance" if row["gain_low"] > 0 else "it rises by more than chance"
        more = more if row["gain_low"] > 0 or row["gain_high"] < 0 else "it changes by no more than chance"
        said.append(
            f"With the {100 * last['left_out']:.0f} % of pairs of {by} left out, {rate} is {_percent(last['rate'])} instead of "
            f"{_percent(row['rate'])} ({last['errors']:,} errors of {last['pairs']:,} pairs); over all cuts {more}."
        )
    gaps = found.gaps[(found.gaps["wanted"] == found.gaps["wanted"].max()).to_numpy()]
    for row in gaps.to_dict("records"):
        if row["low"] > 0 or row["high"] < 0:
            grows = "grows" if abs(row["after"]) > abs(row["before"]) else "shrinks"
            said.append(
                f"The gap of {row['group']} to the other groups {grows} from {_points(row['before'])} to {_points(row['after'])} "
                f"points (change {_points(row['change'])} [{_points(row['low'])}, {_points(row['high'])}]); "
                f"{100 * row['left_out']:.0f} % of its pairs are left out, {100 * row['others_left_out']:.0f} % of the others'."
            )
    if len(gaps) and not any(text.startswith("The gap of") for text in said):
        said.append("No group's gap to the others changes by more than chance.")
    return said


def _percent(rate: float) -> str:
    return "n/a" if rate != rate else f"{100 * rate:.2f} %"


def _points(rate: float) -> str:
    return "n/a" if rate != rate else f"{100 * rate:+.1f}"
