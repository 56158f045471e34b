"""`python -m tests.benchmarks.coverage_more --out FOLDER [--parts paired,roc,search,area]`: as coverage, of what is made of several numbers.

Two models on the same pairs, the band of a ROC, a search in a gallery, and the area under the FDR curve, in simulated test sets
whose truth is known in closed form. Prints the second table of assets/docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from fairlab.evaluation import OperatingPoint
from fairlab.evaluation.fdr_curve import LOOSEST, POINTS, fdr_curve
from fairlab.evaluation.formulas import fdr
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.identification.rates import IdentificationSettings, _Report
from fairlab.evaluation.identification.search import Searched
from fairlab.evaluation.paired import paired_report
from fairlab.evaluation.report import _curve
from fairlab.evaluation.verification import EXPECTED_ERRORS
from fairlab.tables import ALL_GROUPS
from tests.benchmarks import coverage
from tests.benchmarks.coverage import (
    DESIGNS,
    NAMES,
    RULES,
    SHOWN,
    WORLDS,
    cell,
    collected,
    general_truth,
    groups_of,
    parsed,
    scored,
    truth_of,
)

BOTH = {"unequal": ("unequal", "better"), "equal": ("equal", "equal")}
"""The worlds of two models: of the first, of the second."""
ALIKE = 0.8
"""Share of the variance of a score that two models have in common."""
FALSE_MATCHES = {
    "roc, 1 false match": 1,
    "roc, 2-9": 9,
    "roc, 10-29": 29,
    "roc, 30-299": 299,
    "roc, 300 or more": 10**9,
}
SEARCHES = {"rfw": (1000, 500), "few": (100, 100)}
"""Enrolled and unknown people of a group, each with three probes."""


def two_models(
    groups: list[GroupPairs], world: str, random: np.random.Generator
) -> tuple[list[GroupPairs], list[GroupPairs]]:
    """The same pairs scored by two models that agree on much of what is hard."""
    common, *alone = (scored(groups, "noise", random) for _ in range(3))
    sides = []
    for own, name in zip(alone, BOTH[world], strict=True):
        side = []
        for shared, group, stranger, genuine in zip(common, own, *WORLDS[name], strict=True):
            mean = np.where(group.genuine, genuine, stranger)
            noise = np.sqrt(ALIKE) * shared.scores + np.sqrt(1 - ALIKE) * group.scores
            side.append(replace(group, scores=mean + noise))
        sides.append(side)
    return sides[0], sides[1]


def paired_of(groups: list[GroupPairs], world: str, seed: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Differences of two models at each operating point."""
    sides = two_models(groups, world, random)
    for rule in RULES:
        point = OperatingPoint(
            rule, coverage.true_threshold(BOTH[world][0]) if rule == "threshold" else coverage.TARGET
        )  # type: ignore[arg-type]
        table = paired_report(*sides, point).rename(columns={"difference": "value"})
        truths = []
        for name in BOTH[world]:
            at = coverage.true_threshold(BOTH[world][0] if rule == "threshold" else name)
            found = truth_of(name, rule, groups, np.full(4, at), at) | general_truth(name, groups)
            truths.append(found | {(ALL_GROUPS, "accuracy"): found[ALL_GROUPS, "mean_accuracy"]})
        keys = list(zip(table["group"], table["metric"], strict=True))
        known = [truths[0].get(key, np.nan) - truths[1].get(key, np.nan) for key in keys]
        table = table.assign(truth=known, rule=rule)
        table = table[(rule == "threshold") | (table["metric"] != "accuracy")]
        yield table[["group", "metric", "value", "low", "high", "truth", "rule"]].dropna(subset=["truth"])


def roc_of(groups: list[GroupPairs], world: str, seed: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """The bands of the groups' ROCs, by how many false matches there are."""
    for group, stranger, own in zip(scored(groups, world, random), *WORLDS[world], strict=True):
        table = _curve("run", "test", group)
        truth = 1 - ndtr(stranger - ndtri(table["fmr"]) - own)
        count = np.round(table["fmr"] * table["impostor_pairs"]).astype(int)
        edges = list(FALSE_MATCHES.values())
        name = np.array(list(FALSE_MATCHES))[np.searchsorted(edges, count)]
        rows = table.assign(
            metric=name, group=group.name + count.astype(str), value=table["tmr"], truth=truth, rule="any"
        )
        yield rows.loc[count < table["impostor_pairs"], ["group", "metric", "value", "low", "high", "truth", "rule"]]


def search_of(design: str, world: str, seed: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """FPIR, FNIR and rank 1 of a search whose scores are drawn: of the own person, and of the best other one."""
    enrolled, unknown = SEARCHES[design]
    strangers, own = WORLDS[world]
    people = np.repeat(np.arange(4 * (enrolled + unknown)), 3)
    group = people // (enrolled + unknown)
    mated = people % (enrolled + unknown) < enrolled
    effect = random.standard_normal((2, 4 * (enrolled + unknown)))[:, people]
    noise = random.standard_normal((2, len(people)))
    mate, other = (
        np.sqrt(coverage.SELF) * effect + np.sqrt(1 - coverage.SELF) * noise + np.array([own, strangers])[:, group]
    )
    rank = np.where(mated, 1 + (other >= mate), 0)
    found = Searched(np.where(mated, mate, np.nan), rank, np.where(mated, np.nan, other))
    names = np.array(NAMES, dtype=object)[group]
    settings = IdentificationSettings(fpir_targets=(coverage.TARGET,), ranks=(1,), max_rank=1, bootstrap=500, seed=seed)
    table = _Report("run", "test", settings, found, people.astype(str), names, enrolled * 4, []).told().metrics
    threshold = float(table.loc[table["metric"] == "threshold", "value"].iloc[0])
    true_at = float(brentq(lambda at: ndtr(strangers - at).mean() - coverage.TARGET, -5, 10))
    truth: dict[tuple[str, str], float] = {}
    grid = np.linspace(-8, 14, 40_001)
    for number, name in enumerate(NAMES):
        first = np.exp(-((grid - own[number]) ** 2) / 2) / np.sqrt(2 * np.pi) * ndtr(grid - strangers[number])
        step = grid[1] - grid[0]
        truth[name, "rank1"] = float(first.sum() * step)
        truth[name, "fnir"] = 1 - float(first[grid >= true_at].sum() * step)
        truth[name, "fpir"] = float(ndtr(strangers[number] - true_at))
    truth |= {(ALL_GROUPS, what): float(np.mean([truth[name, what] for name in NAMES])) for what in ("rank1", "fnir")}
    truth[ALL_GROUPS, "fpir"] = float(ndtr(strangers - threshold).mean())
    keys = zip(table["group"], table["metric"], strict=True)
    table = table.assign(truth=[truth.get(key, np.nan) for key in keys], rule="any")
    table["metric"] = table["metric"] + np.where(table["group"] == ALL_GROUPS, " (all)", "")
    yield table[["group", "metric", "value", "low", "high", "truth", "rule"]].dropna(subset=["truth"])


def area_of(groups: list[GroupPairs], world: str, seed: int, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """FDR over all operating points, and the area under it."""
    found = fdr_curve(scored(groups, world, random), seed)
    shifts, own = WORLDS[world]
    impostors = sum(group.counts[1] for group in groups)
    values = []
    for target in np.geomspace(EXPECTED_ERRORS / impostors, LOOSEST, POINTS):
        at = brentq(lambda at, target=target: ndtr(shifts - at).mean() - target, -5, 10)
        values.append(float(fdr(ndtr(shifts - at), ndtr(at - own))))
    truth = np.array(values)
    curve = found.table.assign(
        metric="fdr curve", group=np.arange(POINTS).astype(str), value=found.table["fdr"], truth=truth
    )
    area = {"metric": "area under fdr", "group": ALL_GROUPS, "value": found.area, "low": found.low, "high": found.high}
    rows = pd.concat([curve, pd.DataFrame([area | {"truth": (truth[1:] + truth[:-1]).mean() / 2}])]).assign(rule="any")
    yield rows[["group", "metric", "value", "low", "high", "truth", "rule"]]


PARTS = {"paired": paired_of, "roc": roc_of, "search": search_of, "area": area_of}


class Sets:
    """As coverage.Sets, of one of PARTS."""

    def __init__(self, part: str, design: str, world: str, draws: int = 0) -> None:
        self.part, self.world = part, world
        self.of: Any = design if part == "search" else groups_of(DESIGNS[design], draws)

    def __call__(self, number: int) -> pd.DataFrame:
        random = np.random.default_rng([12, number])
        return pd.concat(PARTS[self.part](self.of, self.world, number, random)).assign(set=number)


def markdown(table: pd.DataFrame) -> str:
    """Rows: numbers; columns: designs; cells as coverage.markdown's. Paired numbers: a column for each rule."""
    rules = {"paired": RULES}
    designs = [name for name in DESIGNS if name in set(table["design"])]
    lines = []
    for part, rows in table.groupby("part", sort=False):
        columns = [(design, rule) for design in designs for rule in rules.get(str(part), ("any",))]
        titles = [design if rule == "any" else f"{design}: {rule}" for design, rule in columns]
        lines += ["", f"| {part} | " + " | ".join(titles) + " |", "|---" * (1 + len(columns)) + "|"]
        for (whose, metric), of in rows.groupby(["whose", "metric"], sort=False):
            cells = []
            for design, rule in columns:
                here = of[
                    (of["design"] == design)
                    & (of["rule"].isin([rule, "threshold"] if metric == "accuracy" else [rule]))
                ]
                cells.append(
                    " / ".join(cell(here[here["world"] == world]) for world in SHOWN if world in set(rows["world"]))
                )
            title = f"{metric} (all)" if whose == ALL_GROUPS and metric in ("fmr", "fnmr", "accuracy") else str(metric)
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def main() -> int:
    asked = parsed(__doc__, ",".join(PARTS))
    cells = {
        (part, design, world): partial(Sets, part, design, world, asked.draws)
        for part in asked.parts.split(",")
        for design in asked.designs.split(",")
        for world in asked.worlds.split(",")
        if part != "search" or design in SEARCHES
    }
    print(markdown(collected(cells, asked)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
