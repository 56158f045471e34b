"""Rows of tables.METRICS, gathered one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fairlab.tables import METRICS

UNKNOWN = (np.nan, np.nan, np.nan)
"""A number that cannot be had, and its interval."""


class Rows:
    """Numbers of one run under one protocol."""

    def __init__(self, run_id: str, protocol: str) -> None:
        self.run_id, self.protocol = run_id, protocol
        self._rows: list[dict[str, Any]] = []

    def add(
        self, group: str, metric: str, ends: tuple[float, float, float], counts: tuple[int, int], point: str = ""
    ) -> None:
        """ends: value, low, high; counts: genuine and impostor pairs; point: the operating point, if there is one."""
        values = (self.run_id, self.protocol, group, metric, point, *ends, *(int(count) for count in counts))
        self._rows.append(dict(zip(METRICS, values, strict=True)))

    def table(self) -> pd.DataFrame:
        """tables.METRICS."""
        return METRICS.build(self._rows)
