"""People behind the rates on the page: the tables, and the person that a link names."""

from __future__ import annotations

import pandas as pd
import pytest

from fairlab import Lab
from fairlab.evaluation.people import SHARES
from fairlab.ui.judge.people import COLUMNS, people_table, shares_table
from fairlab.workspace import Workspace
from tests.test_pages import fine, opened


def test_a_link_opens_a_person(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    student = next(model for model in Lab(tiny).models if model.role == "student")
    worst = student.people("false-non-match", at_fmr=0.1).iloc[0]
    link = {"people errors": "false-non-match", "who": worst["identity"]}
    app = opened(monkeypatch, tiny, "verification", model=student.run_id, point="fmr=0.1", **link)
    fine(app)
    counts = f"False non-matches: {worst['false_non_matches']} of {worst['genuine_pairs']} pairs"
    assert any(counts in item.value for item in app.markdown)
    shown = next(item.value for item in app.dataframe if list(item.value) == list(COLUMNS))
    assert shown["Person"].iloc[0] == worst["identity"]
    zoo = next(item.value for item in app.table if "Kind" in item.value)
    assert zoo["Group A"].str.contains(" of ").all()


def test_tables_say_what_is_not_known() -> None:
    rows = [
        ("A", "false-match", 3, 0, 0, worst, float("nan"), float("nan"), float("nan"), float("nan"))
        for worst in (0.01, 0.05, 0.1)
    ]
    assert shares_table(SHARES.build(rows)).iloc[0].tolist() == ["A", "0", "0 of 3", "n/a", "n/a", "n/a"]
    nobody = people_table(pd.DataFrame({"identity": []}), "false-match")
    assert list(nobody) == list(COLUMNS)
