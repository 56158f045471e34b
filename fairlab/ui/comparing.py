"""A study's numbers in the papers' layout, as text cells."""

from __future__ import annotations

import pandas as pd

from fairlab.ui.numbers import number
from fairlab.ui.page import duration


def paper_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per model: accuracy per group, mean, STD, SER, paired difference, p, cost. From runs.compare's table."""
    groups = [
        name.removeprefix("accuracy:")
        for name in table
        if name.startswith("accuracy:") and not name.endswith(("_low", "_high"))
    ]
    several = table["seed"].nunique() > 1
    rows = []
    for row in table.to_dict("records"):
        cells = {"Model": row["model"]} | ({"Seed": row["seed"]} if several else {})
        for group in groups:
            cells[group] = number(
                row[f"accuracy:{group}"], row[f"accuracy:{group}_low"], row[f"accuracy:{group}_high"], 1
            )
        cells |= {
            "Mean": number(row["mean"], row["mean_low"], row["mean_high"], 1),
            "STD": number(row["std"], row["std_low"], row["std_high"], 1),
            "SER": number(row["ser"], row["ser_low"], row["ser_high"]),
            "Difference": "baseline"
            if row["run_id"] == row["baseline"]
            else signed(row["difference"], row["difference_low"], row["difference_high"]),
            "p": "" if row["p"] != row["p"] else f"{row['p']:.3f}",
            "CPU": duration(row["cpu_s"]),
            "CPU with parents": duration(row["total_cpu_s"]),
        }
        rows.append(cells)
    return pd.DataFrame(rows)


def signed(value: float, low: float, high: float) -> str:
    """A difference with its sign and interval."""
    return "n/a" if value != value else f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
