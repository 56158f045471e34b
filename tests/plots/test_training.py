"""Curves of a training."""

import pandas as pd

from fairlab.plots.training import POINTS, loss_figure, pull_figure, pulls, validation_figure


def _events(steps: int = 20, distillation: float = 0.0) -> pd.DataFrame:
    rows = []
    for step in range(1, steps + 1):
        values = {"loss": 3.0 / step, "identity": 2.0 / step, "distillation": distillation}
        rows += [("run", step, (step - 1) // 10, name, value, float(step)) for name, value in values.items()]
    for epoch in range(2):
        for name, value in (("A", 0.7), ("B", 0.6)):
            rows.append(("run", 10 * (epoch + 1), epoch, f"validation_accuracy/{name}", value + 0.1 * epoch, 1.0))
        rows.append(("run", 10 * (epoch + 1), epoch, "validation_accuracy", 0.65 + 0.1 * epoch, 1.0))
    return pd.DataFrame(rows, columns=["run_id", "step", "epoch", "name", "value", "time_s"])


def test_a_term_that_is_always_zero_is_left_out() -> None:
    """A run without distillation shows no distillation loss."""
    assert {trace.name for trace in loss_figure(_events()).data} == {"all", "identity"}
    assert {trace.name for trace in loss_figure(_events(distillation=0.5)).data} == {"all", "identity", "distillation"}


def test_the_curve_is_the_readings() -> None:
    """Nothing is smoothed or moved."""
    figure = loss_figure(_events())
    assert list(figure.data[0].y) == [3.0 / step for step in range(1, 21)]


def test_long_curves_are_thinned() -> None:
    """At most POINTS readings are sent per curve."""
    figure = loss_figure(_events(steps=5 * POINTS))
    assert all(len(trace.x) <= POINTS for trace in figure.data)


def test_validation_has_a_curve_per_group_and_their_mean() -> None:
    """Epochs are counted from 1 for people."""
    figure = validation_figure(_events(), ("A", "B"))
    assert [trace.name for trace in figure.data] == ["A", "B", "mean"]
    assert list(figure.data[0].x) == [1, 2]


def test_no_readings_give_an_empty_figure() -> None:
    """A run that has just started is no error."""
    empty = _events().iloc[:0]
    assert len(loss_figure(empty).data) == 0
    assert len(validation_figure(empty, ("A",)).data) == 0


def _gradients(**terms: float) -> pd.DataFrame:
    rows = [
        ("run", step, 0, f"gradient/{name}", value * step, 1.0) for step in (10, 20) for name, value in terms.items()
    ]
    return pd.DataFrame(rows, columns=list(_events().columns))


def test_pulls_are_ratios_to_identity() -> None:
    """Twice as hard is 2 in every reading, on its step; one term alone has nothing to be compared with."""
    table = pulls(pd.concat([_events(), _gradients(identity=3.0, distillation=6.0, relation=1.5)]))
    assert table.sort_values(["name", "step"])[["step", "name", "ratio", "against"]].to_numpy().tolist() == [
        [10, "distillation", 2.0, "identity"],
        [20, "distillation", 2.0, "identity"],
        [10, "relation", 0.5, "identity"],
        [20, "relation", 0.5, "identity"],
    ]
    assert pulls(_gradients(identity=3.0)).empty
    assert pulls(_events()).empty
    assert pulls(_gradients(angle=1.0, distance=4.0))[["name", "against"]].iloc[0].tolist() == ["distance", "angle"]


def test_a_term_without_any_pull_divides_nothing() -> None:
    assert pulls(_gradients(identity=0.0, distillation=6.0)).empty


def test_the_pulls_are_drawn_on_their_steps() -> None:
    figure = pull_figure(_gradients(identity=3.0, distillation=6.0))
    assert [(list(trace.x), list(trace.y)) for trace in figure.data] == [([10, 20], [2.0, 2.0])]
    assert figure.layout.yaxis.type == "log"
    assert len(pull_figure(_events()).data) == 0
