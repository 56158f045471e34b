"""The map of a space as a figure."""

import numpy as np
import pandas as pd

from fairlab.plots.colours import group_styles
from fairlab.plots.spaces import NAMED_AT_MOST, map_figure

GROUPS = ("A", "B", "C")


def _points(count: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "image_id": np.arange(count) * 3,
            "x": random.normal(size=count),
            "y": random.normal(size=count),
            "group": [GROUPS[n % 3] for n in range(count)],
            "identity": [f"person {n // 2}" for n in range(count)],
            "norm": random.uniform(1, 2, count),
        }
    )


def test_groups_have_the_colours_and_symbols_they_have_everywhere() -> None:
    """Colour and symbol of a group come from group_styles."""
    styles = group_styles(GROUPS)
    for trace in map_figure(_points(), "group", GROUPS).data:
        assert (trace.marker.color, trace.marker.symbol) == (styles[trace.name].colour, styles[trace.name].symbol)


def test_coordinates_are_single_precision_arrays() -> None:
    """Half the bytes on the way to the browser."""
    for trace in map_figure(_points(), "group", GROUPS).data:
        assert trace.x.dtype == np.float32
        assert trace.y.dtype == np.float32


def test_a_selection_names_the_same_images_in_every_trace() -> None:
    """selectedpoints are positions in a trace; through customdata they are exactly the chosen images."""
    chosen = np.array([0, 9, 30, 33])
    found = []
    for trace in map_figure(_points(), "group", GROUPS, chosen).data:
        found += [int(trace.customdata[n][0]) for n in trace.selectedpoints]
    assert sorted(found) == chosen.tolist()


def test_without_a_selection_nothing_is_faded() -> None:
    """No selectedpoints means that plotly draws all points alike."""
    assert all(trace.selectedpoints is None for trace in map_figure(_points(), "group", GROUPS).data)


def test_an_empty_trace_of_a_selection_selects_nothing_rather_than_all() -> None:
    """A group without a chosen image fades."""
    figure = map_figure(_points(), "group", GROUPS, np.array([0]))
    assert [len(trace.selectedpoints) for trace in figure.data] == [1, 0, 0]


def test_many_people_are_a_handful_of_colours_and_grey_others() -> None:
    """A thousand people are not a thousand traces."""
    figure = map_figure(_points(600), "identity", GROUPS)
    assert len(figure.data) == NAMED_AT_MOST + 1
    assert figure.data[0].name == f"{300 - NAMED_AT_MOST} others"
    assert sum(len(trace.x) for trace in figure.data) == 600


def test_numbers_get_a_scale() -> None:
    """A column of numbers is one trace with a colour bar."""
    (trace,) = map_figure(_points(), "norm", GROUPS).data
    assert trace.marker.showscale


def test_group_names_are_data_and_stay_text() -> None:
    """A group's name with HTML in it is escaped in the legend."""
    points = _points().assign(group="<b>x</b>")
    assert map_figure(points, "group", ("<b>x</b>",)).data[0].name == "&lt;b&gt;x&lt;/b&gt;"
