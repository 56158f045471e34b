"""The front of accuracy against unfairness (Pareto): which models of a comparison no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.pareto import hypervolume, on_front, within
from fairlab.settings.base import nearest
from fairlab.tables import BOOL, NUMBER, TEXT, WHOLE, Table

FRONT = Table(
    run_id=TEXT, model=TEXT, runs=WHOLE, error=NUMBER, error_low=NUMBER, error_high=NUMBER,
    unfairness=NUMBER, unfairness_low=NUMBER, unfairness_high=NUMBER, on_front=BOOL,
)  # fmt: skip
"""A row is a model; both objectives are fractions, smaller is better; an end of an interval that is not known is missing."""
MARGIN = 0.05
"""Of the range of points and intervals, added at both ends of a shown axis."""
LEAST_RANGE = 1e-3
"""Of a shown axis: a tenth of a percentage point, also where all models have one value."""


@dataclass(frozen=True)
class Measure:
    """A column of a comparison as an objective: a fraction from 0, fair, to 1."""

    title: str
    fraction: Callable[[np.ndarray], np.ndarray]
    rises: bool = True
    """Does the fraction rise with the column?"""


def _points(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / 100
    return found


def _ratio(values: np.ndarray) -> np.ndarray:
    """1 - 1/ratio: a ratio from 1 has no end, and is no fraction."""
    with np.errstate(divide="ignore"):
        found: np.ndarray = 1 - 1 / values
    return found


def _error(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 - values / 100
    return found


MEASURES: Mapping[str, Measure] = {
    "std": Measure("STD of the groups' accuracies", _points),
    "ser": Measure("1 - 1/SER (skewed error ratio)", _ratio),
    "worst": Measure("error of the least accurate group", _error, rises=False),
}
"""Measures of unfairness that a front can have, by their column."""


@dataclass(frozen=True)
class Front:
    """The models of a comparison as points of (error, unfairness)."""

    measure: str
    points: pd.DataFrame
    """FRONT, in the order of the comparison, of the models with both objectives."""
    left_out: tuple[str, ...]
    """Models whose accuracy or unfairness is not defined."""
    low: tuple[float, float]
    """Where the shown range begins: error, unfairness."""
    high: tuple[float, float]
    """Where it ends."""
    hypervolume: float
    """Area that the front rules up to (1, 1); it hardly moves among good models."""
    hypervolume_shown: float
    """The same on axes cut to the shown range."""

    @property
    def title(self) -> str:
        """The measure of unfairness in words."""
        return MEASURES[self.measure].title

    def sentences(self) -> list[str]:
        """What the front is, what it rules, what is left out and how far to trust it."""
        found = []
        names = self.points.loc[self.points["on_front"], "model"].tolist()
        if names:
            found.append(
                f"On the front of {len(self.points)} model{'' if len(self.points) == 1 else 's'}: {'; '.join(names)}."
            )
            found.append(
                f"Hypervolume {self.hypervolume:.4f} up to an error and unfairness of 1; {self.hypervolume_shown:.3f} on axes "
                f"cut to the shown range (error {self.low[0]:.4f} to {self.high[0]:.4f}, unfairness {self.low[1]:.4f} to "
                f"{self.high[1]:.4f}), a number for these models only."
            )
        if self.left_out:
            found.append(f"Left out, because the measure is not defined for them: {'; '.join(self.left_out)}.")
        if names and int(self.points["runs"].max()) == 1:
            found.append("One seed: which models are on the front may be chance.")
        return found


def front_of(table: pd.DataFrame, measure: str = "std") -> Front:
    """The front of a comparison's models (compare.compare). Raises FairLabError for a measure that there is not.

    error: 1 - mean accuracy. unfairness: std / 100; 1 - 1/ser; or the error of the worst group. A model without one of the
    two is left out and named: 0 would make it the fairest.
    """
    if measure not in MEASURES:
        raise FairLabError(
            f"there is no measure {measure!r} for a front; choose one of: {', '.join(MEASURES)}{nearest(measure, MEASURES)}"
        )
    about = MEASURES[measure]
    columns = {"run_id": table["run_id"], "model": table["model"], "runs": table["runs"]}
    columns |= _objective(table, "mean", "error", Measure("", _error, rises=False))
    columns |= _objective(table, measure, "unfairness", about)
    every = FRONT.of({**columns, "on_front": np.zeros(len(table), bool)})
    known = np.isfinite(every[["error", "unfairness"]]).all(axis=1)
    points = every[known].reset_index(drop=True)
    both = points[["error", "unfairness"]].to_numpy(float)
    points["on_front"] = on_front(both)
    low, high = _range(points)
    return Front(
        measure,
        points,
        tuple(every.loc[~known, "model"]),
        low,
        high,
        hypervolume(both),
        hypervolume(within(both, low, high)) if len(both) else 0.0,
    )


def _objective(table: pd.DataFrame, column: str, name: str, about: Measure) -> dict[str, np.ndarray]:
    """A column with its interval as fractions; where the fraction falls as the column rises, the ends change places."""
    ends = ("", "_low", "_high") if about.rises else ("", "_high", "_low")
    return {
        f"{name}{end}": about.fraction(table[f"{column}{of}"].to_numpy(float))
        for end, of in zip(("", "_low", "_high"), ends, strict=True)
    }


def _range(points: pd.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the shown axes begin and end: around all points and their intervals, inside 0 to 1."""
    lows, highs = [], []
    for name in ("error", "unfairness"):
        values = points[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        values = values[np.isfinite(values)]
        first, last = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        more = max(MARGIN * (last - first), LEAST_RANGE / 2)
        lows.append(max(first - more, 0.0))
        highs.append(min(last + more, 1.0))
    return (lows[0], lows[1]), (highs[0], highs[1])
