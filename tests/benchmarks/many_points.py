"""`python -m tests.benchmarks.many_points [COUNT]`: a map of 20,000 points with a selection: server time and payload."""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd

from fairlab.plots.spaces import map_figure


def main() -> int:
    random = np.random.default_rng(0)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    groups = ("Group A", "Group B", "Group C", "Group D")
    points = pd.DataFrame(
        {
            "x": random.normal(size=count),
            "y": random.normal(size=count),
            "image_id": np.arange(count),
            "group": random.choice(groups, count),
        }
    )
    map_figure(points.head(100), "group", groups)  # plotly loads its parts at the first figure
    began = time.process_time()
    figure = map_figure(points, "group", groups, np.arange(0, count, 7))
    built = time.process_time() - began
    text = figure.to_json()
    print(
        f"{count} points: built in {1000 * built:.0f} ms, to JSON {1000 * (time.process_time() - began - built):.0f} ms, {len(text) / count:.1f} bytes a point"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
