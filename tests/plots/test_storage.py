"""Bytes as bars."""

import pandas as pd

from fairlab.plots.storage import KINDS, REST, storage_figure


def test_bars_are_sorted_and_parts_add_up() -> None:
    """The largest is on top; kinds beyond the largest few are one."""
    rows = [("a", f"kind {n}", (n + 1) * 1e6) for n in range(KINDS + 2)] + [("b", "kind 0", 9e9)]
    figure = storage_figure(pd.DataFrame(rows, columns=["name", "kind", "bytes"]), "name")
    bars = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    assert list(figure.data[0].y) == ["b", "a"]
    assert len(bars) == KINDS + 1
    assert bars["kind 0"] == {"b": 9000.0, "a": 1.0}
    assert bars[REST] == {"b": 0.0, "a": 5.0}  # kinds 1 and 2
