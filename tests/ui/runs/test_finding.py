"""Which of many runs a page shows."""

from __future__ import annotations

import pandas as pd

from fairlab.ui.runs.finding import MOST, matching, newest

RUNS = pd.DataFrame(
    {
        "run_id": ["a-1", "b-2", "c-3"],
        "title": ["Teacher (African)", "Student a+b", "Student"],
        "method": ["classifier", "mst_kd", "mst_kd"],
        "study": ["one", "one", "two"],
        "status": ["done", "failed", "done"],
        "role": ["teacher", "student", "student"],
    }
)


def ids(runs: pd.DataFrame) -> list[str]:
    return list(runs["run_id"])


def test_every_word_must_be_there_as_it_is_written() -> None:
    assert ids(matching(RUNS, "")) == ["a-1", "b-2", "c-3"]
    assert ids(matching(RUNS, "STUDENT one")) == ["b-2"]
    assert ids(matching(RUNS, "(african")) == ["a-1"]
    assert ids(matching(RUNS, "a+b")) == ["b-2"]
    assert ids(matching(RUNS, "", ["done"], ["student"])) == ["c-3"]


def test_the_newest_stay_and_the_one_that_was_asked_for() -> None:
    runs = pd.DataFrame({"run_id": [f"r{number}" for number in range(MOST + 100)]}, index=range(1000, 1100 + MOST))
    assert ids(newest(runs)) == [f"r{number}" for number in range(100, MOST + 100)]
    assert ids(newest(runs, "r7")) == ["r7", *(f"r{number}" for number in range(100, MOST + 100))]
    assert len(newest(runs.head(MOST))) == MOST
