"""Gaps and effects: every mark with its interval, and what may be chance apart from what is beyond it."""

import pandas as pd
import pytest

from fairlab.evaluation.causes import EFFECTS, GAPS
from fairlab.plots.causes import effects_figure, gaps_figure


def test_each_group_has_its_gap_and_what_remains() -> None:
    gap = {"gap": 0.06, "gap_low": 0.02, "gap_high": 0.10, "remains": 0.04, "remains_low": -0.01, "remains_high": 0.09}
    counts = {"pairs": 9, "people": 3, "errors": 1}
    table = GAPS.build([{"group": "<A>", **counts, **gap}, {"group": "B", **counts}])
    as_it_is, equal = gaps_figure(table, "FNMR").data
    assert (list(as_it_is.y), list(as_it_is.x), list(equal.x)) == (["&lt;A&gt;"], [0.06], [0.04]), "B has no number"
    assert list(as_it_is.error_x.array) == pytest.approx([0.04])
    assert list(equal.error_x.arrayminus) == pytest.approx([0.05])


def test_effects_beyond_chance_stand_apart() -> None:
    rows = [("pose", "level", 0.05, 0.03, 0.07, 0.001), ("blur", "difference", 0.01, -0.02, 0.04, 0.8)]
    table = EFFECTS.build(
        dict(zip(("trait", "of", "effect", "low", "high", "p_adjusted"), row, strict=True)) for row in rows
    )
    beyond, chance = effects_figure(pd.DataFrame(table), "FMR").data
    assert (list(beyond.y), list(chance.y)) == (["pose, level"], ["blur, difference"])
    assert beyond.marker.symbol != chance.marker.symbol
