"""A run's scored pairs by any attribute, and by combinations: what the pages and the command call groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fairlab.cli.main import main
from fairlab.compare.scored import attributes_of, scored
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation import fairness_report
from fairlab.jobs.evaluate.assess import evaluate_run
from fairlab.store.runs import RunRecord
from fairlab.ui.judge import evidence
from fairlab.workspace import Workspace, open_workspace
from tests.jobs.protocols.test_protocols import GROUPS, SETTINGS, judged, made_data, made_model
from tests.test_pages import fine, opened


@pytest.fixture
def home(tmp_path: Path) -> tuple[Workspace, Dataset, RunRecord]:
    """People of three colours and two sizes: every second person is large."""
    lab = open_workspace(tmp_path / "home")
    plain = made_data(lab, "plain")
    images = plain.images.copy()
    images["attribute.Size"] = np.where(images["identity"].factorize()[0] % 2, "large", "small")
    write_dataset(lab.dataset("faces"), NewDataset(dataset_id="faces", kind="table", attribute="Colour", groups=GROUPS, images=images, pairs=plain.pairs, pixels=None, recipe={}))  # fmt: skip
    data = open_dataset(lab.dataset("faces"))
    model = made_model(lab, data)
    evaluate_run(model, data, SETTINGS)
    return lab, data, model


def test_groups_are_the_values_of_any_attribute_and_of_combinations(home: tuple[Workspace, Dataset, RunRecord]) -> None:
    """Every pair is where its two images' values say, counted by hand; pairs of two values are across groups."""
    _, data, model = home
    assert attributes_of(data) == ["Colour", "Size"]
    pairs = data.pairs_of("test")
    size = data.images.set_index("image_id")["attribute.Size"]
    first, second = (size.loc[pairs[column]].to_numpy() for column in ("image_a", "image_b"))
    by_size = scored(model, data, by=("Size",)).frame
    assert (by_size["group"] == by_size["other"]).sum() == (first == second).sum()
    both = scored(model, data, by=("Colour", "Size")).frame
    within = both[both["group"] == both["other"]]
    for colour in GROUPS:
        for name in ("large", "small"):
            wanted = (pairs["group"] == colour).to_numpy() & (first == name) & (second == name)
            assert (within["group"] == f"{colour} · {name}").sum() == wanted.sum() > 0
    report = fairness_report(scored(model, data, by=("Size",)), at_fmr=0.1, draws=100)
    assert {row.group_a + row.group_b for row in report.matrix.itertuples()} >= {
        "largelarge",
        "largesmall",
        "smallsmall",
    }
    with pytest.raises(FairLabError, match="faces has no attribute 'Age'; it has: Colour, Size"):
        scored(model, data, by=("Age",))


def test_the_command_and_the_pages_group_by_attributes(
    home: tuple[Workspace, Dataset, RunRecord], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab, _, model = home
    asked = ["--home", str(lab.home), "fairness", model.run_id, "--by", "Colour", "Size", "--at-fmr", "0.1", "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["groups"]) == {f"{colour} · {size}" for colour in GROUPS for size in ("large", "small")}
    assert f"{SETTINGS.bootstrap} resamples" in told["method"], "as the run was judged, and as the pages draw"
    for page in ("verification", "fairness"):
        app = opened(monkeypatch, lab, page, on="faces", model=model.run_id, by="Size", point="fmr=0.1")
        fine(app)
        assert app.multiselect(key="by").value == ["Size"]
        shown = " ".join(str(item.value) for item in (*app.table, *app.info))
        assert "large" in shown


def test_more_pairs_than_one_can_wait_for_are_shown_as_stored(
    home: tuple[Workspace, Dataset, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages say so, name the command, and show the evaluation's own numbers."""
    lab, _, model = home
    monkeypatch.setattr(evidence, "MANY", 10)
    for page in ("verification", "fairness"):
        app = opened(monkeypatch, lab, page, on="faces", model=model.run_id)
        fine(app)
        assert any("fairlab fairness" in item.value for item in app.info)
        assert "TAR @ FAR 10\u00a0%" in app.table[0].value.columns


def test_without_scored_pairs_the_pages_show_what_was_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set without a pair list: everybody against everybody is there, and the way to more protocols."""
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab, pairs=False)
    model = made_model(lab, data)
    judged(lab, model, data, "all_pairs")
    for page, heading in (("verification", "All comparisons"), ("fairness", "")):
        app = opened(monkeypatch, lab, page, on="faces", model=model.run_id)
        fine(app)
        assert any("no scored pairs" in item.value for item in app.info)
        assert heading in [item.value for item in app.subheader] or not heading
        assert app.multiselect(key="judge by")


def test_a_model_beside_that_knows_not_these_pairs_is_named_and_left_out(
    home: tuple[Workspace, Dataset, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page stays; the others' curves are there."""
    lab, data, model = home
    other = made_model(lab, data, "Other", seed=1)
    evaluate_run(other, data, SETTINGS)
    judged(lab, model, data, "random_impostors")
    app = opened(
        monkeypatch, lab, "verification", on="faces", model=model.run_id, over=other.run_id, pairs="random_impostors"
    )
    fine(app)
    assert any("has no scores on the random" in item.value.replace("\\", "") for item in app.warning)
    assert "At the operating point" in [item.value for item in app.subheader]
