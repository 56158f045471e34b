"""The numbers of an evaluation: the sentences, the rates of every group, and the few measures that matter; the rest on request."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd
from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console
from fairlab.cli.show import say_caveats
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.summary import point_words, summary
from fairlab.store.database import metrics
from fairlab.tables import ALL_GROUPS, METRICS, rows_as_json
from fairlab.workspace import Workspace

AT_FMR = 0.01
"""Of the operating points that were evaluated the one nearest to this FMR is shown."""
MATTER = (
    "std_points",
    "ser",
    "gap_points",
    "max_min_fmr",
    "max_min_fnmr",
    "differential_fmr",
    "differential_fnmr",
    "werm",
)
"""Fairness metrics that are shown: spread of accuracies, and ratios and differences of both error rates."""
RATES = {
    "accuracy": "accuracy %", "fmr": "FMR %", "fnmr": "FNMR %", "fmr_across": "FMR between groups %",
    "rank1": "rank 1 %", "fpir": "FPIR %", "fnir": "FNIR %",
}  # fmt: skip
"""Rates of a group that are shown, in this order; those of identification count probes."""


def show_numbers(
    workspace: Workspace, run_id: str, dataset_id: str, protocols: Sequence[str] = (), how: str = ""
) -> None:
    """Print the stored numbers of a run on a data set; with `protocols` only theirs.

    how: "" for what matters, "all" for every number, "json" for every number as JSON.
    """
    table = metrics(workspace, [run_id], dataset_id)[list(METRICS[1:])]
    table = table[table["protocol"].isin(protocols)] if protocols else table
    say_caveats(workspace, [run_id], dataset_id)
    if how:
        print(rows_as_json(table) if how == "json" else table.to_string(index=False))
        return
    for protocol, numbers in table.groupby("protocol", sort=False):
        console.print(Text(f"{protocol} on {dataset_id}", style="bold"))
        _show_protocol(numbers)
    console.print(Text(f"{len(table)} numbers are stored; --all prints them", style="dim"))


def _show_protocol(numbers: pd.DataFrame) -> None:
    groups = [name for name in numbers["group"].unique() if name != ALL_GROUPS]
    names = set(numbers["operating_point"])
    fmr, fpir = (_nearest(names, prefix) for prefix in ("fmr=", "fpir="))
    shown = numbers[numbers["operating_point"].isin(["", fmr, fpir])]
    if fmr:
        point = OperatingPoint.of(fmr)
        for sentence in summary(shown, groups, point):
            console.print(Text(sentence))
        console.print(Text(f"Rates {point_words(point)}, with 95 % intervals:", style="dim"))
    if fpir:
        console.print(Text(f"Rates at {fpir.replace('fpir=', 'an FPIR of ')}, with 95 % intervals:", style="dim"))
    _show_rates(shown, groups)
    _show_measures(shown)


def _nearest(points: Collection[str], prefix: str) -> str:
    """Of these operating points the one nearest to AT_FMR, e.g. "fmr=0.01"; "" where none has the prefix."""
    known = {name: float(name.removeprefix(prefix)) for name in points if name.startswith(prefix)}
    return min(known, key=lambda name: (abs(known[name] - AT_FMR), name), default="")


def _show_rates(numbers: pd.DataFrame, groups: Sequence[str]) -> None:
    known = [name for name in RATES if (numbers["metric"] == name).any()]
    view = Table(box=None, pad_edge=False)
    probes = "rank1" in known or "fnir" in known
    for name in (
        "group",
        *(("mated", "unmated") if probes else ("genuine", "impostor")),
        *(RATES[name] for name in known),
    ):
        view.add_column(name, justify="left" if name == "group" else "right")
    for group in (*groups, ALL_GROUPS):
        part = numbers[numbers["group"] == group].drop_duplicates("metric").set_index("metric")
        rates = part[part.index.isin([*known, "mean_accuracy"])].rename(index={"mean_accuracy": "accuracy"})
        if rates.empty:
            continue
        counts = [f"{rates[f'{kind}_pairs'].max():,.0f}" for kind in ("genuine", "impostor")]
        view.add_row(Text(group), *counts, *(_number(rates, name, 100) for name in known))
    console.print(view)


def _show_measures(numbers: pd.DataFrame) -> None:
    part = numbers[numbers["group"] == ALL_GROUPS].drop_duplicates("metric").set_index("metric")
    known = [name for name in MATTER if name in part.index]
    if not known:
        return
    view = Table(box=None, pad_edge=False)
    for name in ("measure", "value", "by chance up to", "p"):
        view.add_column(name, justify="left" if name == "measure" else "right")
    for name in known:
        chance, p = (f"{part['value'].get(f'{name}_{end}', float('nan')):.3g}" for end in ("fair_p95", "p"))
        view.add_row(str(FAIRNESS_METRICS[name].title), _number(part, name), *(_plain(text) for text in (chance, p)))
    console.print(view)


def _number(rows: pd.DataFrame, name: str, factor: float = 1.0) -> str:
    """A number with its interval; "n/a" where it is not defined."""
    if name not in rows.index or pd.isna(rows.loc[name, "value"]):
        return "n/a"
    value, low, high = (float(rows.loc[name, end]) * factor for end in ("value", "low", "high"))
    return f"{value:.4g}" + (f" [{low:.3g}, {high:.3g}]" if low == low and high == high else "")


def _plain(text: str) -> str:
    return "n/a" if text == "nan" else text
