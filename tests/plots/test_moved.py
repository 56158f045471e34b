"""The histogram of kept neighbours: counts per group, whatever k is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.plots.moved import overlap_figure
from fairlab.tables import MOVED_IMAGES


def images(common: list[int], k: int) -> pd.DataFrame:
    shared = np.array(common, dtype=float)
    columns = {"image_id": np.arange(len(common)), "identity": "p", "overlap": shared / (2 * k - shared)}
    frame = MOVED_IMAGES.of({**columns, "group": "g", "rank_before": pd.NA, "rank_after": pd.NA})
    return pd.concat([frame, frame.assign(overlap=np.nan)])


@pytest.mark.parametrize("k", [1, 10, 19, 97, 200])
def test_every_count_is_read_back_from_the_overlap(k: int) -> None:
    common = [*range(k + 1), k]
    trace = overlap_figure(images(common, k), k, ["g", "nobody"]).data
    assert len(trace) == 1
    assert sum(trace[0].customdata) == len(common)
    assert trace[0].y[-1] == pytest.approx(trace[0].customdata[-1] / len(common))
    assert len(trace[0].x) <= 21
    if k <= 19:
        assert list(trace[0].customdata) == [1] * k + [2]
