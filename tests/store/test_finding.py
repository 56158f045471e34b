"""Which of many runs and studies are looked for."""

from __future__ import annotations

import pandas as pd

from fairlab.store.finding import known_tags, matching, matching_studies
from fairlab.store.studies import STUDIES
from fairlab.tables import LIVE_RUNS

RUNS = pd.DataFrame(
    {
        "run_id": ["a-1", "b-2", "c-3"],
        "title": ["Teacher (African)", "Student a+b", "Student"],
        "method": ["classifier", "mst_kd", "mst_kd"],
        "study": ["one", "one", "two"],
        "status": ["done", "failed", "done"],
        "role": ["teacher", "student", "student"],
        "tags": ["table 2, margin", "", "table 2"],
        "note": ["", "diverged\nat step 40", ""],
        "star": [False, True, True],
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


def test_tags_notes_and_stars_are_found() -> None:
    """All tags that are asked for, each whole: "table" is no tag, but a word of one."""
    assert ids(matching(RUNS, tags=["table 2"])) == ["a-1", "c-3"]
    assert ids(matching(RUNS, tags=["table 2", "margin"])) == ["a-1"]
    assert ids(matching(RUNS, tags=["table"])) == []
    assert ids(matching(RUNS, "table")) == ["a-1", "c-3"]
    assert ids(matching(RUNS, "diverged 40")) == ["b-2"]
    assert ids(matching(RUNS, starred=True, tags=["table 2"])) == ["c-3"]
    assert known_tags(RUNS) == ["margin", "table 2"]


def test_of_nothing_nothing_is_found() -> None:
    assert matching(LIVE_RUNS.build(), "a", ["done"], ["student"], ["b"], True).empty
    assert matching_studies(STUDIES.build(), "a", ["b"], True).empty


def test_studies_are_found_the_same_way() -> None:
    row = {"preset": "tiny", "created_at": "", "runs": 1, "done": 1}
    table = STUDIES.build(
        [
            {**row, "study_id": "s-1", "title": "One", "tags": "margin", "note": "for the talk", "star": False},
            {**row, "study_id": "s-2", "title": "Two", "tags": "", "note": "", "star": True},
        ]
    )
    assert matching_studies(table, "talk")["study_id"].tolist() == ["s-1"]
    assert matching_studies(table, tags=["margin"])["study_id"].tolist() == ["s-1"]
    assert matching_studies(table, "tiny", starred=True)["study_id"].tolist() == ["s-2"]
