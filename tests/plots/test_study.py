"""A study at a glance."""

import pandas as pd

from fairlab.plots.study import models_figure


def _row(model: str, a: float, b: float) -> dict[str, object]:
    values = {"accuracy:A": a, "accuracy:B": b, "mean": (a + b) / 2}
    bounds = {
        f"{name}{end}": value + off for name, value in values.items() for end, off in (("_low", -1), ("_high", 1))
    }
    return {"model": model, **values, **bounds}


def test_every_group_is_a_mark_in_every_row() -> None:
    """One trace per group with one mark per model, beside the lines and the means."""
    figure = models_figure(pd.DataFrame([_row("T", 80, 90), _row("S", 85, 86)]), ("A", "B"))
    marks = {trace.name: list(trace.x) for trace in figure.data if trace.name in ("A", "B")}
    assert marks == {"A": [80, 85], "B": [90, 86]}


def test_the_line_of_a_row_spans_worst_to_best_group() -> None:
    """A short line is a fair model."""
    figure = models_figure(pd.DataFrame([_row("T", 80, 90)]), ("A", "B"))
    assert list(figure.data[0].x) == [80, 90, None]


def test_models_of_one_name_are_told_apart() -> None:
    """Two files may be added under one name; each keeps its row."""
    figure = models_figure(pd.DataFrame([_row("T", 80, 90), _row("S", 80, 90), _row("T", 81, 91)]), ("A", "B"))
    assert list(figure.data[1].y) == ["T", "S", "T (2)"]
