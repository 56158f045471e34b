"""Histograms of traits: shares of each group, counted by hand."""

from __future__ import annotations

import numpy as np

from fairlab.plots.traits import BINS, shares_in_bins, traits_figure

OF = np.array(["X", "X", "X", "Y"])
AGE = np.array([0.0, 24.0, np.nan, 24.0])
SCENE = np.array(["in", "out", "out", "in"], dtype=object)
SAME = np.full(4, 2.0)
NONE = np.full(4, np.nan)


def test_shares_of_each_groups_known_images() -> None:
    places, shares = shares_in_bins(AGE, OF, ("X", "Y"))
    assert places.tolist() == [at + 0.5 for at in range(BINS)]
    assert (shares["X"][[0, -1]].tolist(), shares["X"].sum()) == ([0.5, 0.5], 1)
    assert (shares["Y"][-1], shares["Y"].sum()) == (1, 1)
    places, shares = shares_in_bins(SCENE, OF, ("X", "Y"))
    assert dict(zip(places, shares["X"], strict=True)) == {"in": 1 / 3, "out": 2 / 3}
    assert dict(zip(places, shares["Y"], strict=True)) == {"in": 1, "out": 0}


def test_a_panel_for_each_trait_and_a_line_for_each_group() -> None:
    """Also for one that is the same everywhere or known nowhere; names are shown as words, not as markup."""
    figure = traits_figure({"age <b>": AGE, "scene": SCENE, "same": SAME, "none": NONE}, OF, ("X", "Y"))
    assert [len(figure.data), len(figure.layout.annotations)] == [8, 4]
    assert "<b>" not in figure.layout.annotations[0].text
    assert max(np.max(trace.y) for trace in figure.data) <= 100
    assert len(traits_figure({}, OF, ("X", "Y")).data) == 0
