"""The DET: straight lines for normal scores, which is what its axes are for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from fairlab.plots.colours import group_styles
from fairlab.plots.det import det_figure

COLUMNS = ["run_id", "group", "threshold", "fmr", "tmr", "low", "high", "genuine_pairs", "impostor_pairs"]


def curves(d_prime: float = 2.0, runs: tuple[str, ...] = ("r",), group: str = "A") -> pd.DataFrame:
    """Impostor scores N(0, 1), genuine N(d', 1): both error rates are known in closed form."""
    thresholds = np.linspace(-1, 3, 9)
    fmr, tmr = norm.sf(thresholds), norm.sf(thresholds - d_prime)
    rows = [
        (run, group, t, f, m, max(m - 0.01, 0), min(m + 0.01, 1), 900, 1000)
        for run in runs
        for t, f, m in zip(thresholds, fmr, tmr, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def line(figure: object) -> object:
    return next(trace for trace in figure.data if trace.mode == "lines" and trace.fill is None)  # type: ignore[attr-defined]


def test_normal_scores_make_a_straight_line_whose_distance_is_d_prime() -> None:
    """probit(FNMR) = -d' - probit(FMR)."""
    drawn = line(det_figure(curves(2.0), ("A",)))
    assert np.asarray(drawn.x) + np.asarray(drawn.y) == pytest.approx(np.full(9, -2.0), abs=1e-9)  # type: ignore[attr-defined]


def test_ticks_stand_at_the_rates_that_they_name() -> None:
    axis = det_figure(curves(), ("A",)).layout.xaxis
    assert norm.cdf(axis.tickvals[axis.ticktext.index("5%")]) == pytest.approx(0.05)


def test_rates_of_zero_and_one_have_no_place_and_marks_are_in_the_groups_colour() -> None:
    table = curves()
    table.loc[0, "fmr"], table.loc[8, "tmr"] = 1.0, 0.0
    points = pd.DataFrame({"group": ["A"], "fmr": [0.05], "tmr": [0.9]})
    figure = det_figure(table, ("A",), points=points)
    assert len(line(figure).x) == 7  # type: ignore[attr-defined]
    mark = figure.data[-1]
    assert (norm.cdf(mark.x[0]), norm.cdf(mark.y[0])) == pytest.approx((0.05, 0.1))
    assert mark.marker.color == group_styles(("A",))["A"].colour


def test_the_band_is_drawn_for_one_run_only_and_names_stay_text() -> None:
    bad = "<b>x</b>"
    assert [trace for trace in det_figure(curves(), ("A",)).data if trace.fill == "toself"]
    several = det_figure(curves(runs=("r", "s"), group=bad), (bad,), {"r": bad})
    assert not [trace for trace in several.data if trace.fill == "toself"]
    assert all("<b>" not in trace.name for trace in several.data)


def test_a_legend_of_many_runs_lies_under_the_curves() -> None:
    """Three runs of one group: the legend hangs from below the axis, and the figure grows by its rows."""
    one, three = (det_figure(curves(runs=runs), ("A",)) for runs in (("r",), ("r", "s", "t")))
    assert (three.layout.legend.yanchor, three.layout.legend.y < 0) == ("top", True)
    assert three.layout.height > one.layout.height
