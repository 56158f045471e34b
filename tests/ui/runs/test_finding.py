"""Which of many runs a page shows."""

from __future__ import annotations

import pandas as pd

from fairlab.ui.runs.finding import MOST, newest, study_names


def ids(runs: pd.DataFrame) -> list[str]:
    return list(runs["run_id"])


def test_the_newest_stay_and_the_one_that_was_asked_for() -> None:
    runs = pd.DataFrame({"run_id": [f"r{number}" for number in range(MOST + 100)]}, index=range(1000, 1100 + MOST))
    assert ids(newest(runs)) == [f"r{number}" for number in range(100, MOST + 100)]
    assert ids(newest(runs, "r7")) == ["r7", *(f"r{number}" for number in range(100, MOST + 100))]
    assert len(newest(runs.head(MOST))) == MOST


def test_a_study_is_found_by_typing_its_tags() -> None:
    table = pd.DataFrame(
        {"study_id": ["s-1", "s-2"], "title": ["One", "Two"], "tags": ["a, b", ""], "star": [True, False]}
    )
    assert study_names(table) == {"s-1": "★ · One · s-1 · a, b", "s-2": "Two · s-2"}
