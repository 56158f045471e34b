"""Pairs behind the rates on the page: the link's filters hold, and the pair that it names is shown."""

from __future__ import annotations

import pytest

from fairlab import Lab
from fairlab.workspace import Workspace
from tests.test_pages import fine, opened


def test_a_link_opens_the_pairs_it_names(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    student = next(model for model in Lab(tiny).models if model.role == "student")
    other = next(model for model in Lab(tiny).models if model.role == "teacher")
    missed = student.pairs("false-non-match", "Group B", against=other.run_id, among="both", at_fmr=0.1)
    pair = missed.iloc[0]
    link = {"errors": "false-non-match", "errors group": "Group B", "second": other.run_id, "among": "both"}
    app = opened(
        monkeypatch, tiny, "fairness", model=student.run_id, point="fmr=0.1", pair=str(pair["pair_id"]), **link
    )
    fine(app)
    said = [item.value for item in app.markdown]
    assert any(text.startswith(f"**{len(missed)}** false non-matches of Group B, wrong in both") for text in said)
    assert any(text.startswith(f"**{pair['identity_a']}**") for text in said)
    scores = next(table.value for table in app.table if "Decision" in table.value)
    assert scores["Distance"].str.replace("\\", "").iloc[0] == f"{pair['distance']:+.4f}"
    app.text_input(key="person").set_value(pair["identity_a"]).run()
    fine(app)
    own = student.pairs(
        "false-non-match", "Group B", pair["identity_a"], against=other.run_id, among="both", at_fmr=0.1
    )
    assert any(item.value.startswith(f"**{len(own)}** false non-matches of Group B with") for item in app.markdown)
    assert app.query_params["person"] in (pair["identity_a"], [pair["identity_a"]])
