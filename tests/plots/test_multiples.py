"""One number along every varied setting, a panel each."""

from __future__ import annotations

import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.plots.multiples import multiples_figure


def part(values: list[object], lines: list[str], means: list[float]) -> pd.DataFrame:
    columns = {
        "line": lines,
        "value": values,
        "mean": means,
        "mean_low": [m - 1 for m in means],
        "mean_high": [m + 2 for m in means],
    }
    return pd.DataFrame(columns)


def test_a_panel_per_setting_a_line_per_kind_and_the_same_scale() -> None:
    margins = part([0.1, 10.0, 0.1, 10.0], ["a", "a", "b", "b"], [90.0, 91.0, 80.0, 82.0])
    losses = part(["<arc>", "cos"], ["a", "a"], [90.0, 85.0])
    figure = multiples_figure({"margin": margins, "loss": losses}, "mean", "mean, %")
    assert [trace.xaxis for trace in figure.data] == ["x", "x", "x2"]
    assert list(figure.data[1].y) == [80.0, 82.0]
    assert list(figure.data[1].error_y.array) == [2.0, 2.0]
    assert list(figure.data[1].error_y.arrayminus) == [1.0, 1.0]
    assert figure.layout.xaxis.type == "log"  # 100 times as much
    assert figure.layout.yaxis2.matches == "y"
    assert [note.text for note in figure.layout.annotations] == ["margin", "loss"]
    assert list(figure.data[2].x) == ["&lt;arc&gt;", "cos"]
    assert figure.data[2].mode == "markers"  # names are not joined


def test_many_settings_take_several_rows_and_none_is_said() -> None:
    one = part([1.0, 2.0], ["a", "a"], [90.0, 91.0])
    figure = multiples_figure({str(number): one for number in range(4)}, "mean", "mean")
    assert {trace.xaxis for trace in figure.data} == {"x", "x2", "x3", "x4"}
    with pytest.raises(FairLabError, match="varies no setting"):
        multiples_figure({}, "mean", "mean")
