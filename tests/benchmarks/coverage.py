"""`python -m tests.benchmarks.coverage --out FOLDER [--sets 300] [--designs rfw,few,all]`: how often 95 % intervals hold the truth.

Test sets are simulated whose truth is known in closed form: scores are normal, with an effect of each person, and of each
two people, so that pairs share luck as real ones do. Every number of a report is counted: is the true value in its interval,
and how wide is that against the narrowest interval with 95 %, +-1.96 standard deviations of the estimates themselves? Prints
the Markdown table of assets/docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr

from fairlab.evaluation import FAIRNESS_METRICS, OperatingPoint, Rates, at_point, numbers_at, spread
from fairlab.evaluation.accuracies import over_accuracies
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import IdentityBootstrap
from fairlab.evaluation.report import separation
from fairlab.tables import ALL_GROUPS

TARGET = 0.01
STRANGER, TWO, SELF = 0.1, 0.1, 0.3
"""Shares of the variance of an impostor score that are each person's and both people's, and of a genuine score that is the
person's."""
NAMES = ("A", "B", "C", "D")
WORLDS = {
    "unequal": (np.array([0.0, 0.15, 0.3, 0.5]), np.array([3.5, 3.3, 3.4, 3.2])),
    "equal": (np.full(4, 0.2), np.full(4, 3.3)),
    "better": (np.array([0.0, 0.1, 0.2, 0.3]), np.array([3.6, 3.5, 3.5, 3.4])),
    "noise": (np.zeros(4), np.zeros(4)),
}
"""Means of impostor and genuine scores of the groups; the last two are of a second model (coverage_more)."""
SHOWN = ("unequal", "equal")
BAND = " (fair band)"
CHUNK = 10
RULES = ("threshold", "pooled", "own")


@dataclass(frozen=True)
class Design:
    """A list of pairs of one group: `people` people; draws of people; title."""

    people: int
    draws: int
    title: str

    def pairs(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(first, second, genuine)."""
        if self.title.startswith("all"):
            person = np.repeat(np.arange(self.people), 3)
            one, two = np.triu_indices(len(person), 1)
            return person[one], person[two], person[one] == person[two]
        count = 3000
        own = np.concatenate([random.permutation(self.people) for _ in range(1 + count // self.people)])[:count]
        one = np.concatenate([random.permutation(self.people) for _ in range(1 + count // self.people)])[:count]
        two = (one + random.integers(1, self.people, count)) % self.people
        genuine = np.arange(2 * count) < count
        return np.concatenate([own, one]), np.concatenate([own, two]), genuine


DESIGNS = {
    "rfw": Design(2900, 1000, "RFW-like: 4 x 2,900 people, 3,000 + 3,000 pairs"),
    "few": Design(100, 1000, "4 x 100 people, 3,000 + 3,000 pairs"),
    "all": Design(100, 400, "all pairs of 4 x 100 people, 3 images each"),
}


def groups_of(design: Design, draws: int = 0, seed: int = 0) -> list[GroupPairs]:
    """The design's pairs, four groups, without scores yet."""
    random = np.random.default_rng(seed)
    found = []
    for number, name in enumerate(NAMES):
        first, second, genuine = design.pairs(random)
        bootstrap = IdentityBootstrap(first, second, genuine, draws or design.draws, number)
        folds = np.arange(len(first)) % 10
        found.append(GroupPairs(name, np.zeros(len(first)), genuine, folds, bootstrap, np.arange(len(first))))
    return found


def scored(groups: list[GroupPairs], world: str, random: np.random.Generator) -> list[GroupPairs]:
    """One simulated test set."""
    found = []
    for group, stranger, own in zip(groups, *WORLDS[world], strict=True):
        clusters, genuine = group.bootstrap.clusters, group.genuine
        effect = random.standard_normal(clusters.people)
        first, second = effect[clusters.first], effect[clusters.second]
        low, high = np.minimum(clusters.first, clusters.second), np.maximum(clusters.first, clusters.second)
        _, two = np.unique(low * clusters.people + high, return_inverse=True)
        both = random.standard_normal(int(two.max()) + 1)[two]
        noise = random.standard_normal(len(genuine))
        rest = np.sqrt(1 - 2 * STRANGER - TWO)
        impostor = stranger + np.sqrt(STRANGER) * (first + second) + np.sqrt(TWO) * both + rest * noise
        same = own + np.sqrt(SELF) * first + np.sqrt(1 - SELF) * noise
        found.append(replace(group, scores=np.where(genuine, same, impostor)))
    return found


def true_threshold(world: str) -> float:
    """Where all groups' impostors together have the target FMR."""
    shifts = WORLDS[world][0]
    return float(brentq(lambda at: ndtr(shifts - at).mean() - TARGET, -5, 10))


def truth_of(
    world: str, rule: str, groups: list[GroupPairs], used: np.ndarray, threshold: float | None = None
) -> dict[tuple[str, str], float]:
    """(group, metric) -> its true value; used (G,): the thresholds of this set; threshold: given, instead of the world's."""
    shifts, own = WORLDS[world]
    at = np.full(4, true_threshold(world) if threshold is None else threshold)
    if rule == "own":
        at = shifts - _normal_quantile(TARGET)
    fmr, fnmr = ndtr(shifts - at), ndtr(at - own)
    found: dict[tuple[str, str], float] = {}
    shown = ndtr(shifts - used) if rule == "own" else fmr
    for number, name in enumerate(NAMES):
        found |= {(name, "fmr"): shown[number], (name, "fnmr"): fnmr[number], (name, "tar"): 1 - fnmr[number]}
    found[ALL_GROUPS, "fmr"] = float(ndtr(shifts - used).mean())
    found[ALL_GROUPS, "fnmr"] = float(fnmr.mean())
    counts = np.array([group.counts for group in groups]).T
    rates = Rates(fmr, fnmr, counts[1], counts[0])
    for name in FAIRNESS_METRICS:
        if FAIRNESS_METRICS[name].of == "rates":
            found[ALL_GROUPS, name] = float(FAIRNESS_METRICS[name](rates))
    return found


def general_truth(world: str, groups: list[GroupPairs]) -> dict[tuple[str, str], float]:
    """What hangs on no operating point."""
    shifts, own = WORLDS[world]
    best = []
    for group, shift, mean in zip(groups, shifts, own, strict=True):
        share = group.genuine.mean()
        best.append(
            -float(
                minimize_scalar(
                    lambda at, share=share, shift=shift, mean=mean: (
                        share * ndtr(at - mean) + (1 - share) * ndtr(shift - at) - 1
                    ),
                    bounds=(shift, mean + 2),
                    method="bounded",
                    options={"xatol": 1e-10},
                ).fun
            )
        )
    accuracy = np.array(best)
    found = {(ALL_GROUPS, "mean_accuracy"): float(accuracy.mean())}
    for name in FAIRNESS_METRICS:
        if FAIRNESS_METRICS[name].of == "accuracy":
            found[ALL_GROUPS, name] = float(FAIRNESS_METRICS[name](accuracy))
    gap = own - shifts
    for number, name in enumerate(NAMES):
        found |= {(name, "accuracy"): accuracy[number], (name, "d_prime"): gap[number]}
        found |= {(name, "auc"): float(ndtr(gap[number] / np.sqrt(2))), (name, "eer"): float(ndtr(-gap[number] / 2))}
    return found


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def numbers_of(groups: list[GroupPairs], world: str, rules: tuple[str, ...], seed: int) -> Iterator[pd.DataFrame]:
    """Tables (group, metric, value, low, high, truth, rule) of one test set."""
    for rule in rules:
        point = OperatingPoint(rule, true_threshold(world) if rule == "threshold" else TARGET)  # type: ignore[arg-type]
        at = at_point(groups, point)
        table, _ = numbers_at(at, seed)
        truth = truth_of(world, rule, groups, at.thresholds)
        yield _with_truth(table, truth, rule)
        if world == "equal":
            yield _bands(table, rule)
    table, _ = over_accuracies(groups, seed)
    single = [row for group in groups for row in separation(group)]
    table = pd.concat([table, pd.DataFrame(single, columns=["group", "metric", "value", "low", "high"])])
    if world == "equal":
        yield _bands(table, "any")
    yield _with_truth(table, general_truth(world, groups), "any")


def _bands(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Is a fair model within its fair band? As an interval that reaches up to p, which 5 % lies in when p is above 5 %."""
    rows = table[table["metric"].str.endswith("_p")]
    found = rows.assign(
        metric=rows["metric"].str.removesuffix("_p") + BAND, low=0.0, high=rows["value"], truth=0.05 + 1e-6
    )
    return found.assign(rule=rule)[["group", "metric", "value", "low", "high", "truth", "rule"]].dropna(
        subset=["value"]
    )


def _with_truth(table: pd.DataFrame, truth: dict[tuple[str, str], float], rule: str) -> pd.DataFrame:
    keys = list(zip(table["group"], table["metric"], strict=True))
    table = table.assign(truth=[truth.get(key, np.nan) for key in keys], rule=rule)
    return table[["group", "metric", "value", "low", "high", "truth", "rule"]].dropna(subset=["truth"])


def simulate(design: str, world: str, sets: int, draws: int = 0, rules: tuple[str, ...] = RULES) -> pd.DataFrame:
    """A row per (rule, metric): coverage, n/a share, width against +-1.96 standard deviations of the estimates."""
    made = Sets(design, world, draws, rules)
    return summed(pd.concat([made(number) for number in range(sets)], ignore_index=True))


class Sets:
    """Test sets of a design and world, by number: the same set for the same number."""

    def __init__(self, design: str, world: str, draws: int = 0, rules: tuple[str, ...] = RULES) -> None:
        self.world, self.rules, self.groups = world, rules, groups_of(DESIGNS[design], draws)

    def __call__(self, number: int) -> pd.DataFrame:
        """Rows (group, metric, value, low, high, truth, rule, set)."""
        groups = scored(self.groups, self.world, np.random.default_rng([11, number]))
        return pd.concat(numbers_of(groups, self.world, self.rules, number)).assign(set=number)


Made = Callable[[int], pd.DataFrame]


def collected(cells: dict[tuple[str, str, str], Callable[[], Made]], asked: argparse.Namespace) -> pd.DataFrame:
    """`summed` of every cell (part, design, world), of asked.sets sets each; rows are kept in the folder asked.out, where a run
    that was cut short goes on. Cells take turns, so that what is there at any time is of all of them.
    """
    asked.out.mkdir(parents=True, exist_ok=True)
    made: dict[tuple[str, str, str], Made] = {}
    end = time.monotonic() + 60 * asked.minutes
    for start in range(0, asked.sets, CHUNK):
        for cell, make in cells.items():
            file = asked.out / f"{'-'.join(cell)}-{start}.csv"
            if file.exists() or time.monotonic() > end:
                continue
            made.setdefault(cell, make())
            rows = pd.concat(made[cell](number) for number in range(start, min(start + CHUNK, asked.sets)))
            rows.to_csv(file, index=False)
    tables = []
    for part, design, world in cells:
        files = sorted(asked.out.glob(f"{part}-{design}-{world}-*.csv"))
        if files:
            rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
            print(f"{part} {design} {world}: {rows['set'].nunique()} sets")
            tables.append(summed(rows).assign(part=part, design=design, world=world))
    return pd.concat(tables, ignore_index=True)


def parsed(about: str | None, parts: str = "one") -> argparse.Namespace:
    """What a benchmark of coverage is asked for; sets the draws."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--parts", default=parts)
    parser.add_argument("--designs", default=",".join(DESIGNS))
    parser.add_argument("--worlds", default=",".join(SHOWN))
    parser.add_argument("--draws", type=int, default=0, help="draws of people, and of test sets at each place")
    parser.add_argument("--target", type=float, default=TARGET, help="the FMR that thresholds are set at")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin nothing new after so many")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the numbers, where a later run goes on")
    asked = parser.parse_args()
    if asked.draws:
        spread.DRAWS = asked.draws
    globals()["TARGET"] = asked.target
    return asked


def summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of single sets by (rule, metric), groups together; "all" apart."""
    near = 1e-9
    rows = rows.assign(
        held=(rows["low"] - near <= rows["truth"]) & (rows["truth"] <= rows["high"] + near),
        known=rows["low"].notna(),
        width=rows["high"] - rows["low"],
        off=rows["value"] - rows["truth"],
        whose=np.where(rows["group"] == ALL_GROUPS, ALL_GROUPS, "group"),
    )
    found = []
    for (rule, whose, metric), part in rows.groupby(["rule", "whose", "metric"], sort=False):
        known = part[part["known"]]
        spread = part.groupby("group")["off"].std().mean()
        found.append(
            {
                "rule": rule,
                "whose": whose,
                "metric": metric,
                "sets": len(part),
                "known": len(known) / len(part),
                "covered": known["held"].mean() if len(known) else np.nan,
                "width": known["width"].mean() / (2 * 1.959964 * spread) if len(known) and spread > 0 else np.nan,
            }
        )
    return pd.DataFrame(found)


def markdown(table: pd.DataFrame) -> str:
    """Rows: numbers; columns: designs by rule; cells: coverage in percent where groups differ / where they are equal. Then the
    same of fair bands: percent of fair models that lie within.
    """
    band = table["metric"].str.endswith(BAND)
    return _markdown(table[~band], SHOWN, "number") + "\n\n" + _markdown(table[band], ("equal",), "fair band of")


def _markdown(table: pd.DataFrame, worlds: tuple[str, ...], title: str) -> str:
    designs = [name for name in DESIGNS if name in set(table["design"])]
    lines = [f"| {title} | " + " | ".join(f"{name}: {rule}" for name in designs for rule in RULES) + " |"]
    lines.append("|---" * (1 + len(designs) * len(RULES)) + "|")
    for (whose, metric), rows in table.groupby(["whose", "metric"], sort=False):
        cells = []
        for design in designs:
            for rule in RULES:
                here = rows[(rows["design"] == design) & rows["rule"].isin([rule, "any"])]
                cells.append(" / ".join(cell(here[here["world"] == world]) for world in worlds))
        name = metric.removesuffix(BAND) + (" (all)" if whose == ALL_GROUPS and metric in ("fmr", "fnmr") else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rows: pd.DataFrame) -> str:
    if rows.empty or not np.isfinite(rows["covered"].iloc[0]) or rows["known"].iloc[0] < 0.5:
        return "n/a"
    row = rows.iloc[0]
    text = f"{100 * row['covered']:.0f}"
    return text + (f" ({row['width']:.2f})" if np.isfinite(row["width"]) and row["whose"] != ALL_GROUPS else "")


def main() -> int:
    asked = parsed(__doc__)
    cells = {
        ("one", design, world): partial(Sets, design, world, asked.draws)
        for design in asked.designs.split(",")
        for world in asked.worlds.split(",")
    }
    print(markdown(collected(cells, asked)))
    return 0


if __name__ == "__main__":
    from tests.benchmarks import coverage  # so that TARGET is one

    raise SystemExit(coverage.main())
