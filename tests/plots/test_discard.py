"""Error against discard: a curve per group, steps as pairs go, and all groups together."""

from fairlab.evaluation.discard import CURVES
from fairlab.plots.discard import discard_figure
from fairlab.tables import ALL_GROUPS


def test_a_curve_per_group_and_one_of_all() -> None:
    rows = [
        {
            "group": group,
            "wanted": 0.1 * at,
            "left_out": 0.1 * at,
            "pairs": 10,
            "errors": 2,
            "rate": 0.2,
            "low": 0.1,
            "high": 0.3,
        }
        for group in ("A", ALL_GROUPS)
        for at in range(3)
    ]
    figure = discard_figure(CURVES.build(rows), ["A", "never seen"], "FNMR")
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.fill is None]
    assert [trace.name for trace in lines] == ["A", "all groups"]
    assert all(list(trace.x) == [0.0, 0.1, 0.2] and trace.line.shape == "hv" for trace in lines)
    assert sum(trace.fill == "toself" for trace in figure.data) == 1, "a band of the group alone"
