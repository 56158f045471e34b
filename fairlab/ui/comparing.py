"""A study's numbers in the papers' layout."""

from __future__ import annotations

import pandas as pd

from fairlab.ui.numbers import cell
from fairlab.ui.page import plain
from fairlab.ui.pickers import choose


def groups_of(table: pd.DataFrame) -> list[str]:
    """The groups that a table of runs.compare has accuracies of, in its order."""
    names = [name.removeprefix("accuracy:") for name in table if name.startswith("accuracy:")]
    return [name for name in names if f"accuracy:{name}_low" in table]


def pick_seed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one seed, of the reader's choice, or all; all where there is only one."""
    added = table["role"] == "model"  # trained elsewhere: beside every seed
    seeds = [str(seed) for seed in table.loc[~added, "seed"].unique()]
    if len(seeds) < 2:
        return table
    names = {seed: f"seed {seed}" for seed in seeds} | {"all": f"all {len(seeds)} seeds"}
    chosen = choose("Seed", [*seeds, "all"], "seed", names, help="The whole study was repeated with each seed.")
    return table if chosen == "all" else table[added | (table["seed"].astype(str) == chosen)].reset_index(drop=True)


def paper_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per model in Markdown: accuracy per group, mean, STD, SER, paired difference, p, cost; best in bold."""
    groups = groups_of(table)
    several = table.loc[table["role"] != "model", "seed"].nunique() > 1
    best = {name: table[name].max() for name in (*(f"accuracy:{group}" for group in groups), "mean")}
    best |= {name: table[name].min() for name in ("std", "ser")}
    rows = []
    for row in table.to_dict("records"):
        cells = {"Model": plain(row["model"])} | ({"Seed": str(row["seed"])} if several else {})
        for group in groups:
            cells[plain(group)] = _cell(row, f"accuracy:{group}", best)
        cells |= {"Mean": _cell(row, "mean", best), "STD": _cell(row, "std", best), "SER": _cell(row, "ser", best, 2)}
        cells["Difference"] = (
            ":gray[baseline]"
            if row["run_id"] == row["baseline"]
            else cell(row["difference"], row["difference_low"], row["difference_high"], signed=True)
        )
        cells["p"] = "" if row["p"] != row["p"] else f"{row['p']:.3f}"
        known = row["cpu_s"] == row["cpu_s"]  # of a model that was trained elsewhere it is not
        cells["CPU s"] = f"{row['cpu_s']:,.0f} :small[:gray[{row['total_cpu_s']:,.0f}]]" if known else ":gray[n/a]"
        rows.append(cells)
    return pd.DataFrame(rows)


def _cell(row: dict[str, float], name: str, best: dict[str, float], digits: int = 1) -> str:
    return cell(row[name], row[f"{name}_low"], row[f"{name}_high"], digits, strong=row[name] == best[name])
