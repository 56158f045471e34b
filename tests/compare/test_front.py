"""The front of accuracy against unfairness of a comparison: objectives, intervals, what is left out, and the golden value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.front import FRONT, front_of
from fairlab.errors import FairLabError
from fairlab.evaluation.pareto import hypervolume
from fairlab.tables import matches
from fairlab.workspace import Workspace
from tests.conftest import command

NAN = float("nan")
G22 = [(0.05, 0.3), (0.08, 0.18), (0.1, 0.25), (0.15, 0.1), (0.3, 0.06)]


def table(rows: list[dict[str, float]], runs: int = 3) -> pd.DataFrame:
    """A comparison of these means, STDs, SERs and worst groups, in points, with intervals of 1 point (SER: 0.5)."""
    filled = []
    for number, row in enumerate(rows):
        whole = {"mean": 90.0, "std": 5.0, "ser": 2.0, "worst": 80.0, **row}
        ends = {
            f"{name}{end}": value + sign * (0.5 if name == "ser" else 1.0)
            for name, value in whole.items()
            for end, sign in (("_low", -1), ("_high", 1))
        }
        filled.append({"run_id": f"r{number}", "model": f"M{number}", "runs": runs, **whole, **ends})
    return pd.DataFrame(filled)


def test_the_golden_front_through_a_comparison() -> None:
    front = front_of(table([{"mean": 100 * (1 - error), "std": 100 * unfair} for error, unfair in G22]))
    assert matches(front.points, FRONT)
    assert front.points["on_front"].tolist() == [True, True, False, True, True]
    assert front.hypervolume == pytest.approx(0.8714, abs=1e-9)
    assert front.left_out == ()


def test_a_ratio_is_one_minus_its_inverse_and_worst_is_an_error() -> None:
    """SER has no largest value: 4 is 3/4, 1 is 0. Ends of intervals change places where more accuracy is less error."""
    front = front_of(table([{"ser": 4.0}, {"ser": 1.0}]), "ser")
    assert front.points["unfairness"].tolist() == pytest.approx([0.75, 0.0])
    assert front.points.loc[0, "unfairness_low"] == pytest.approx(1 - 1 / 3.5)
    assert front.points.loc[0, "unfairness_high"] == pytest.approx(1 - 1 / 4.5)
    row = front_of(table([{"worst": 70.0}]), "worst").points.iloc[0]
    assert row[["unfairness", "unfairness_low", "unfairness_high"]].tolist() == pytest.approx([0.3, 0.29, 0.31])
    assert row[["error", "error_low", "error_high"]].tolist() == pytest.approx([0.1, 0.09, 0.11])


def test_an_undefined_measure_is_left_out_and_named() -> None:
    """As 0 it would be the fairest of all and alone on the front."""
    front = front_of(table([{"mean": 90.0, "ser": 2.0}, {"mean": 95.0, "ser": NAN}]), "ser")
    assert front.points["model"].tolist() == ["M0"]
    assert front.left_out == ("M1",)
    assert "Left out, because the measure is not defined for them: M1." in front.sentences()


def test_the_shown_range_holds_points_and_intervals_and_has_an_area_of_its_own() -> None:
    front = front_of(table([{"mean": 90.0, "std": 4.0}, {"mean": 92.0, "std": 6.0}]))
    points = front.points[["error", "unfairness"]].to_numpy()
    assert front.low[0] <= 0.07 <= 0.11 <= front.high[0]
    assert front.low[1] <= 0.03 <= 0.07 <= front.high[1]
    width, height = np.subtract(front.high, front.low)
    cut = (points - front.low) / (width, height)
    by_hand = (1 - cut[1, 0]) * (1 - cut[1, 1]) + (1 - cut[0, 0]) * (cut[1, 1] - cut[0, 1])
    assert front.hypervolume_shown == pytest.approx(by_hand, abs=1e-12)
    assert front.hypervolume == pytest.approx(hypervolume(points), abs=1e-12)
    assert any("cut to the shown range" in sentence for sentence in front.sentences())


def test_one_seed_is_said_to_be_noise() -> None:
    assert any("One seed" in sentence for sentence in front_of(table([{}], runs=1)).sentences())
    assert not any("One seed" in sentence for sentence in front_of(table([{}])).sentences())


@pytest.mark.parametrize("rows", [[], [{"std": NAN}]])
def test_nothing_to_draw_is_no_error(rows: list[dict[str, float]]) -> None:
    empty = table([{}]).iloc[:0] if not rows else table(rows)
    front = front_of(empty)
    assert front.points.empty
    assert front.hypervolume == front.hypervolume_shown == 0.0


def test_an_unknown_measure_is_told_with_those_there_are() -> None:
    with pytest.raises(FairLabError, match="no measure 'sdt' for a front; choose one of: std, ser, worst"):
        front_of(table([{}]), "sdt")


def test_command_and_lab_have_the_front_of_a_study(tiny: Workspace) -> None:
    from fairlab import Lab

    study = next(path.name for path in tiny.studies_folder.glob("tiny-*"))
    front = Lab(tiny.home).studies[study].front("std")
    shown = command(tiny.home, "compare", study, "--front", "std")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(" yes ") == front.points["on_front"].sum() > 0
    assert f"Hypervolume {front.hypervolume:.4f}" in shown.stdout
    assert "One seed" in shown.stdout
    wrong = command(tiny.home, "compare", study, "--front", "gini")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "fairlab: there is no measure 'gini' for a front; choose one of: std, ser, worst\n",
    )
