"""What the numbers of one model say about fairness, in words a newcomer understands and a reviewer accepts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fairlab.ui.numbers import one


def spread_sentence(metrics: pd.DataFrame) -> str:
    """Is the spread of the groups' accuracies more than chance would show?"""
    std, band = one(metrics, "std_points"), one(metrics, "std_points_fair_p95")
    if std is None or band is None or std["value"] != std["value"]:
        return "With one group there is nothing to compare."
    beyond = std["value"] > band["value"]
    return (
        f"The groups' accuracies differ by STD {std['value']:.2f} points; a perfectly fair model of this accuracy would show up to "
        f"{band['value']:.2f} by chance on these pairs. " + ("That is more than chance." if beyond else "That is within chance: no difference is shown.")
    )


def group_sentence(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> str:
    """Which group is falsely matched most and least at the one threshold, and do their intervals part?"""
    rows = metrics[(metrics["metric"] == "fmr") & (metrics["operating_point"] == point) & metrics["group"].isin(groups)]
    rows = rows.dropna(subset=["value"]).sort_values("value")
    if len(rows) < 2:
        return "At this operating point the rates cannot be measured with these pairs."
    least, most = rows.iloc[0], rows.iloc[-1]
    apart = most["low"] > least["high"]
    return (
        f"At one threshold for all, impostors of {most['group']} are accepted most often ({100 * most['value']:.1f} %), those of {least['group']} "
        f"least ({100 * least['value']:.1f} %); " + ("their intervals do not touch." if apart else "their intervals overlap, so the order may be chance.")
    )
