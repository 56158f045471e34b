"""Scores of every group, as figures."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.plots.distributions import distributions_figure

GROUPS = ("A", "B")


def scored(count: int = 500) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    genuine = np.arange(count) < count // 5
    scores = {group: random.normal(0.2 + 0.4 * genuine, 0.1) for group in GROUPS}
    return scores, dict.fromkeys(GROUPS, genuine)


def test_every_pair_is_in_a_bin_of_its_kind_and_group() -> None:
    scores, genuine = scored()
    traces = distributions_figure(scores, genuine, {}, GROUPS).data
    assert [trace.name for trace in traces] == ["genuine", "impostor"] * 2
    assert [int(trace.customdata[:, 0].sum()) for trace in traces] == [100, 400, 100, 400]
    assert all(sum(trace.y) == pytest.approx(1) for trace in traces), "shares of their kind"
    first = traces[0]
    chosen = int(np.argmax(first.customdata[:, 0]))
    count, low, high = first.customdata[chosen]
    assert ((scores["A"] >= low) & (scores["A"] < high) & genuine["A"]).sum() == count


def test_each_group_has_its_own_threshold_and_one_without_has_none() -> None:
    figure = distributions_figure(*scored(), {"A": 0.31, "B": float("nan")}, GROUPS)
    assert [shape.x0 for shape in figure.layout.shapes] == [0.31]


def test_a_million_pairs_are_as_light_as_a_hundred() -> None:
    """Bins are counted here, not in the browser."""
    assert len(distributions_figure(*scored(200_000), {}, GROUPS).to_json()) < 60_000


@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.3]])
def test_few_or_equal_scores_are_drawn_too(values: list[float]) -> None:
    scores = {"A": np.array(values, float)}
    figure = distributions_figure(scores, {"A": np.ones(len(values), bool)}, {"A": 0.5}, ("A",))
    assert len(figure.data) == (2 if values else 0)


def test_names_from_data_stay_text() -> None:
    bad = "<a href='http://evil.example'>x</a>"
    scores, genuine = scored()
    figure = distributions_figure({bad: scores["A"]}, {bad: genuine["A"]}, {}, (bad,))
    assert "<a" not in figure.layout.yaxis.title.text
    assert all("<a" not in trace.hovertemplate for trace in figure.data)
