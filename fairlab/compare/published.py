"""Numbers that other people printed, from assets/published, and beside which of our models one of them may stand.

Only where a row names the same method, backbone and test set (columns of the file); never beside generated faces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.errors import Damaged
from fairlab.files import asset
from fairlab.reading.structured import parse_json
from fairlab.store.runs import RunRecord
from fairlab.tables import ANY, NUMBER, TEXT, Table

FILE = "published/paper_tables.csv"
NOT_OBTAINED = "NOT OBTAINED"
RFW = ("african", "asian", "caucasian", "indian")
FAMILIES = {"rfw": "RFW", "packs": "LFW family"}
"""The test sets of the file that a data set of this kind can be."""
PUBLISHED = Table(
    paper=TEXT, row=TEXT, method=TEXT, backbone=TEXT, test_set=TEXT, trained_on=TEXT, teacher=TEXT, mean=NUMBER,
    std=NUMBER, ser=NUMBER, accuracy=ANY, source=TEXT,
)  # fmt: skip


@cache
def read_published() -> pd.DataFrame:
    """Every printed row with numbers: PUBLISHED, all in percent and points; accuracy: a dict of test set or group to percent."""
    table = pd.read_csv(asset(FILE), dtype=str, keep_default_na=False)
    rows = []
    for item in table[~table["row"].str.startswith(NOT_OBTAINED)].to_dict("records"):
        try:
            accuracy = {name: float(item[name]) for name in RFW if item[name]}
            found = parse_json(item["metrics"], f"assets/{FILE}, row {item['row']!r}") if item["metrics"] else {}
            accuracy |= {name: float(value) for name, value in found.items() if value is not None and name != "Avg"}
            mean, std, ser = (float(item[name]) if item[name] else np.nan for name in ("avg", "std", "ser"))
        except ValueError as error:
            raise Damaged(f"assets/{FILE}, row {item['row']!r}: {error}") from error
        facts = (item[name] for name in ("paper", "row", "method", "backbone", "test_set", "dataset", "teacher"))
        rows.append((*facts, mean, std, ser, accuracy, item["source"]))
    return PUBLISHED.build(rows)


def family(dataset: Dataset) -> str:
    """Which of the papers' test sets this is: "RFW", "LFW family" (packs), or "" for any other data."""
    return FAMILIES.get(str(dataset.info.get("kind", "")), "")


def published_beside(models: Sequence[RunRecord], dataset: Dataset) -> dict[str, list[pd.Series]]:
    """The printed rows that speak of the same method, backbone and test set, by run id; models without one are left out.

    A network that was trained on some groups or on a part only is not what the papers trained.
    """
    named, table = family(dataset), read_published()
    table = table[(table["test_set"] == named) & (table["method"] != "")]
    found: dict[str, list[pd.Series]] = {}
    for model in models if named else ():
        backbone, data = model.config.backbone, model.config.data
        if backbone is None or data.groups or data.parts > 1:
            continue
        same = table[(table["method"] == model.method) & (table["backbone"] == backbone.name)]
        rows = [row for _, row in same.iterrows() if accuracies(row, dataset.groups)]
        if rows:
            found[model.run_id] = rows
    return found


def accuracies(row: pd.Series, groups: Sequence[str]) -> dict[str, float]:
    """The row's printed accuracies on these groups, whatever their spelling: "cfp_fp" is CFP-FP, "agedb_30" AgeDB."""
    printed = {_plain(name): value for name, value in row["accuracy"].items()}
    return {group: printed[_plain(group)] for group in groups if _plain(group) in printed}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower()).removesuffix("30")


def words(row: pd.Series, groups: Sequence[str]) -> str:
    """A printed row in a few words: mean over these groups, STD and SER as printed, and what it was trained on."""
    known = accuracies(row, groups)
    each = ", ".join(f"{group} {value:.2f}" for group, value in known.items())
    if len(known) < len(groups):
        return f"{each}; trained on {row['trained_on']}"
    spread = "" if np.isnan(row["std"]) else f", STD {row['std']:.2f}, SER {row['ser']:.2f}"
    return f"mean {np.mean(list(known.values())):.2f}{spread} ({each}); trained on {row['trained_on']}"
