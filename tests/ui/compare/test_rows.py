"""The papers' table as the browser gets it: what is best, what is beyond chance, what a row opens."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.exports import groups_of
from fairlab.ui.compare.rows import columns_of, filtered, rows_of
from fairlab.ui.frame.numbers import NAN
from fairlab.ui.frame.table import Cell, as_data


def _row(name: str, role: str, mean: float, p: float = NAN, difference: float = 0.0) -> dict[str, object]:
    row: dict[str, object] = {
        "run_id": f"{name}-0", "run_ids": f"{name}-0, {name}-1", "seeds": "0, 1", "runs": 2, "model": name, "role": role,
        "method": "classifier" if role == "teacher" else "a_kd", "baseline": "plain-0", "p": p, "paired_seeds": 2,
        "cpu_s": 60.0, "total_cpu_s": 300.0, "std_fair_p95": 2.5, "ser_fair_p95": NAN,
    }  # fmt: skip
    values = {
        "accuracy:A": mean + 1,
        "accuracy:B": mean - 1,
        "mean": mean,
        "std": 100 - mean,
        "ser": 1.5,
        "worst": mean - 1,
    }
    values |= {"difference": difference}
    for column, value in values.items():
        known = column != "difference" or p == p
        row |= {
            column: value,
            f"{column}_low": value - 0.5 if known else NAN,
            f"{column}_high": value + 0.5 if known else NAN,
        }
    return row


TABLE = pd.DataFrame(
    [
        _row("Teacher A", "teacher", 90.0, 0.004, -5.0),
        _row("plain", "student", 95.0),
        _row("KD one", "student", 98.0, 0.01, 3.0),
        _row("KD two", "student", 95.2, 0.4, 0.2),
    ]
)


def cells(name: str) -> dict[str, Cell]:
    return next(row.cells for row in rows_of(TABLE, TABLE) if row.cells["model"].text == name)


def test_the_best_of_a_column_is_marked_once() -> None:
    """Largest accuracy, smallest STD; of all rows, also of those that a filter hides."""
    tones = {key: [row.cells[key].tone for row in rows_of(TABLE, TABLE)] for key in ("mean", "std", "accuracy:A")}
    assert tones["mean"] == tones["accuracy:A"] == ["", "", "best", ""]
    assert tones["std"] == ["beyond", "beyond", "best", "beyond"]
    assert "best" not in rows_of(TABLE.iloc[:1], TABLE)[0].cells["mean"].tone


def test_a_difference_is_coloured_only_beyond_chance() -> None:
    assert [cells(name)["difference"].tone for name in TABLE["model"]] == ["worse", "quiet", "better", "quiet"]
    assert cells("plain")["difference"].text == "baseline"
    assert cells("KD one")["difference"].small == "+2.5\u00a0to\u00a0+3.5"
    assert cells("KD one")["p"].text == "0.010"
    assert [row.state for row in rows_of(TABLE, TABLE)] == ["", "baseline", "", ""]


def test_a_row_opens_its_runs() -> None:
    """The name opens the lowest seed's, each seed its own."""
    row = rows_of(TABLE, TABLE)[2]
    assert row.run == "KD one-0"
    assert row.seeds == (("0", "KD one-0"), ("1", "KD one-1"))
    assert row.cells["model"].small == "student · a_kd · 2 seeds"


def test_what_is_not_known_is_sorted_last_and_said() -> None:
    """No number becomes NaN on its way to the browser: JSON knows none."""
    gone = TABLE.assign(
        ser=NAN, cpu_s=NAN, worst_low=NAN, worst_high=NAN, cross=[NAN, NAN, 60.0, NAN], cross_low=55.0, cross_high=65.0
    )
    gone = gone.assign(cross_gallery="Teacher A", cross_seeds=1)
    rows = rows_of(gone, gone)
    assert rows[0].cells["ser"] == Cell("n/a", None, tone="quiet")
    assert rows[0].cells["cross"].text == ""
    assert rows[2].cells["cross"].help == "Gallery by Teacher A; seeds: 1."
    assert [column.label for column in columns_of(gone)][7] == "Against a teacher's gallery"
    json.dumps(as_data(columns_of(gone), rows), allow_nan=False)


def test_bars_share_one_axis_and_a_difference_s_has_zero() -> None:
    ends = {column.key: column.range for column in columns_of(TABLE)}
    assert ends["mean"] == (89.5, 98.5)
    assert ends["difference"] == (-5.5, 3.5)
    assert ends["accuracy:A"] is None


@pytest.mark.parametrize(
    ("roles", "methods", "words", "names"),
    [
        ([], [], "", ["Teacher A", "plain", "KD one", "KD two"]),
        (["student"], [], "", ["plain", "KD one", "KD two"]),
        ([], ["classifier"], "", ["Teacher A"]),
        (["student"], ["a_kd"], "kd TWO", ["KD two"]),
        ([], [], "(", []),
    ],
)
def test_filters_are_joined_by_and(roles: list[str], methods: list[str], words: str, names: list[str]) -> None:
    assert filtered(TABLE, roles, methods, words)["model"].tolist() == names


def test_a_group_called_low_does_not_confuse_the_columns() -> None:
    """Names are data: a group may be called "x_low"."""
    renamed = TABLE.rename(columns={name: name.replace(":A", ":x_low") for name in TABLE if ":A" in name})
    assert groups_of(renamed) == ["x_low", "B"]


def test_published_numbers_have_their_own_column_with_the_source() -> None:
    assert "published" not in [column.key for column in columns_of(TABLE)]
    said = TABLE.assign(published=[np.nan, "mean 94.6 (A 95)", np.nan, np.nan], published_source="Somebody 2023")
    assert columns_of(said)[-1].label == "Published by others"
    found = rows_of(said, said)[1].cells["published"]
    assert (found.text, found.small) == ("mean 94.6", "Somebody 2023")
    assert rows_of(said, said)[0].cells["published"].text == ""
