"""Routing in numbers: golden values, limits, and that counts add up over readings."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fairlab.evaluation.routing import entropy_share, information_bits, measures_by_epoch, own_rate, shares_by_group
from tests.fixtures.golden import ROUTING

COUNTS = np.array(ROUTING["G7"]["inputs"]["counts"])
KNOWN = ROUTING["G7"]["outputs"]
TEACHERS = ("a", "b", "c")


def events(*readings: tuple[int, int, dict[str, float]]) -> pd.DataFrame:
    rows = [
        ("run", step, epoch, name, value, 0.0) for step, epoch, values in readings for name, value in values.items()
    ]
    return pd.DataFrame(rows, columns=["run_id", "step", "epoch", "name", "value", "time_s"])


def counts_of(table: np.ndarray, groups: tuple[str, ...] = ("g/1", "h")) -> dict[str, float]:
    seen = {f"seen/{group}": float(row.sum()) for group, row in zip(groups, table, strict=True)}
    return seen | {
        f"routed/{group}/{place}": float(value)
        for group, row in zip(groups, table, strict=True)
        for place, value in enumerate(row, 1)
    }


def test_the_measures_are_the_known_ones() -> None:
    """G7, from counts that two readings share: shares by group, entropy, information, own-teacher rate."""
    half = COUNTS // 2
    read = events(
        (10, 0, counts_of(half) | {"chosen_kl": 2.0, "other_kl": 5.0}),
        (20, 0, counts_of(COUNTS - half) | {"chosen_kl": 4.0, "other_kl": 6.0}),
    )
    shares = shares_by_group(read, TEACHERS)
    table = shares.pivot(index="group", columns="teacher", values="share").to_numpy()
    np.testing.assert_allclose(table, KNOWN["share_by_group"], atol=1e-9)
    assert set(shares["images"]) == {100}
    (row,) = measures_by_epoch(read, TEACHERS, {"g/1": "a", "h": "b"}).to_dict("records")
    assert row["epoch"] == 1
    assert row["entropy"] == pytest.approx(KNOWN["entropy_log_n"], abs=1e-9)
    assert row["information_bits"] == pytest.approx(KNOWN["mutual_information_bits"], abs=1e-9)
    assert row["own_rate"] == pytest.approx(KNOWN["own_teacher_rate_if_teacher_g_is_group_g_s"], abs=1e-9)
    assert row["chance"] == pytest.approx(KNOWN["chance"], abs=1e-9)
    assert (row["chosen_kl"], row["other_kl"]) == (3.0, 5.5)
    assert math.isnan(row["chosen_ce"])


def test_a_gate_that_ignores_groups_tells_nothing_and_one_that_knows_them_all() -> None:
    """0 bits for equal rows; log2 of the groups where each has a teacher to itself."""
    assert information_bits(np.array([[3, 6, 9], [1, 2, 3]])) == pytest.approx(0.0, abs=1e-12)
    assert information_bits(np.diag([7, 7, 7, 7])) == pytest.approx(2.0)
    assert entropy_share(np.array([5, 5, 5])) == pytest.approx(1.0)
    assert entropy_share(np.array([9, 0])) == 0.0


def test_what_is_not_known_is_no_number() -> None:
    """One teacher, no counts, a group without its own teacher or without images; before routing: no rows."""
    assert math.isnan(entropy_share(np.array([4])))
    assert math.isnan(information_bits(np.zeros((2, 2))))
    frame = pd.DataFrame([[1, 2]], index=["g"], columns=["a", "b"])
    assert math.isnan(own_rate(frame, {"other": "a"}))
    absent = shares_by_group(events((10, 0, counts_of(np.array([[0, 0, 0], [1, 2, 3]])))), TEACHERS)
    assert absent.loc[absent["group"] == "g/1", "share"].isna().all()
    before = events((10, 0, {"loss": 1.0}))
    assert shares_by_group(before, TEACHERS).empty
    assert measures_by_epoch(before, TEACHERS, {}).empty


def test_epochs_are_apart_and_in_order() -> None:
    read = events((20, 1, counts_of(COUNTS)), (10, 0, counts_of(COUNTS[::-1])))
    assert list(measures_by_epoch(read, TEACHERS, {})["epoch"]) == [1, 2]
    assert shares_by_group(read, TEACHERS).query("epoch == 2 and group == 'h'")["routed"].tolist() == [10, 80, 10]
