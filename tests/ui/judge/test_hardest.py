"""The hardest impostors of all comparisons on the page: at the page's operating point, and the pair that a link names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlab import Lab
from fairlab.compare.hardest import kept_of
from fairlab.evaluation.operating import OperatingPoint
from fairlab.workspace import open_workspace
from tests.jobs.protocols.test_protocols import judged, made_data, made_model
from tests.test_pages import fine, opened


def test_they_are_those_at_the_operating_point_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No link names one: the page begins at an FMR that these pairs can measure, which is not 1 %."""
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab)
    model = made_model(lab, data)
    judged(lab, model, data, "all_pairs", "random_impostors")
    app = opened(monkeypatch, lab, "verification", model=model.run_id)
    fine(app)
    point = OperatingPoint.of(app.query_params["point"])
    assert point.value > 0.01
    counts = kept_of(model, data, point)
    said = [item.value.replace("\\", "") for item in app.markdown if "false matches of" in item.value]
    total, pairs = int(counts["false_matches"].sum()), int(counts["impostor_pairs"].sum())
    words = f"at one threshold for all groups, set at an overall FMR of {100 * point.value:g} %"
    assert any(text.startswith(f"**{total:,}** false matches of {pairs:,} impostor pairs {words}") for text in said), (
        said
    )
    worst = Lab(lab).runs[model.run_id].pairs(at_fmr=point.value, dataset="faces", pairs="all_pairs").iloc[0]
    app = opened(monkeypatch, lab, "verification", model=model.run_id, **{"hardest pair": str(worst["pair_id"])})
    fine(app)
    shown = next(table.value for table in app.table if f"Image {worst['image_a']}" in table.value)
    assert worst["group_a"] in shown[f"Image {worst['image_a']}"].tolist()
