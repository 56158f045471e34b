"""A selection as a filter: numbers of the chosen pairs alone, recomputed, and words that count what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fairlab import Lab
from fairlab.compare.scored import BY_ERRORS, scored
from fairlab.data.dataset import Dataset
from fairlab.data.selections import SIDES, Chosen, save_selection
from fairlab.errors import FairLabError
from fairlab.evaluation import fairness_report
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.jobs.evaluate.assess import evaluate_run
from fairlab.store.runs import RunRecord
from fairlab.ui.judge import evidence
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.jobs.protocols.test_protocols import SETTINGS, made_data, made_model
from tests.test_pages import fine, opened

Home = tuple[Workspace, Dataset, RunRecord]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    lab = open_workspace(tmp_path / "home")
    data = made_data(lab)
    model = made_model(lab, data)
    evaluate_run(model, data, SETTINGS)
    return lab, data, model


def half(lab: Workspace, data: Dataset) -> Chosen:
    """One image of every second person of each group."""
    tested = data.images[data.images["image_id"].isin(data.pairs_of("test")[["image_a", "image_b"]].to_numpy().ravel())]
    first = tested.drop_duplicates("identity")["image_id"].to_numpy()
    return Chosen(save_selection(lab, data, "half", first[::2], "every second"))


def test_pairs_and_counts_are_those_of_sets_of_people(home: Home) -> None:
    """Against plain Python; the report is that of a table that was filtered by hand."""
    lab, data, model = home
    picked = half(lab, data).selection
    every = scored(model, data).frame
    people = data.images["identity"].astype(str).to_numpy()
    inside = {people[image] for image in picked.ids}
    both = [(one in inside) + (other in inside) for one, other in zip(every["id1"], every["id2"], strict=True)]
    for side, wanted in (("only", 2), ("without", 0)):
        found = scored(model, data, chosen=Chosen(picked, side))  # type: ignore[arg-type]
        expected = every[np.array(both) == wanted].reset_index(drop=True)
        assert found.frame.equals(expected)
        assert found.notes == (
            f"Selection 'half', {SIDES[side]}: {len(expected):,} of {len(every):,} pairs; left out: {both.count(1):,} "  # type: ignore[index]
            f"pairs with one image on the other side, {both.count(2 - wanted):,} with both",
            BY_ERRORS,
        )
        ours, theirs = (fairness_report(pairs, at_fmr=0.1, draws=50) for pairs in (found, ScoredPairs(expected)))
        assert ours.numbers.equals(theirs.numbers)
        assert ours.notes[0] == found.notes[0] or found.notes[0] in ours.notes
    one = Chosen(save_selection(lab, data, "one", picked.ids[:1]), "only_images")
    with pytest.raises(
        FairLabError, match=r"selection 'one', only these images: none of the .* pairs has both images there"
    ):
        scored(model, data, chosen=one)


def test_command_and_python_say_the_same(home: Home) -> None:
    lab, data, model = home
    half(lab, data)
    asked = ["fairness", model.run_id, "--data", "faces", "--selection", "half", "--at-fmr", "0.1", "--json"]
    told = json.loads(command(lab.home, *asked, "--selected", "without").stdout)
    chosen = Lab(lab.home).data["faces"].selections["half"].side("without")
    report = Lab(lab.home).models[model.run_id].fairness_report(0.1, "faces", chosen=chosen)
    assert told["groups"] == report.as_json()["groups"]
    assert any(note.startswith("Selection 'half', without these people: ") for note in told["notes"])
    refused = command(lab.home, "fairness", model.run_id, "--data", "faces", "--selection", "hlaf")
    assert refused.returncode == 2
    assert "has no saved selection 'hlaf'; it has: half" in refused.stderr
    assert command(lab.home, "fairness", model.run_id, "--selected", "without").returncode == 2


@pytest.mark.parametrize("page", ["verification", "fairness"])
def test_the_pages_filter_by_the_link(home: Home, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    """Numbers of the side alone, in words too; an unknown one is said and everybody is shown."""
    lab, data, model = home
    chosen = half(lab, data)
    app = opened(
        monkeypatch, lab, page, on="faces", model=model.run_id, selection="half", selected="without", point="fmr=0.1"
    )
    fine(app)
    assert app.selectbox(key="selection").value == "half"
    assert app.selectbox(key="selected").value == "without"
    words = scored(model, data, chosen=Chosen(chosen.selection, "without")).notes[0]
    assert any(words in item.value.replace("\\", "") for item in app.info)
    app.selectbox(key="selected").set_value("only").run()
    fine(app)
    assert any(scored(model, data, chosen=chosen).notes[0] in item.value.replace("\\", "") for item in app.info)
    app.selectbox(key="selection").set_value("").run()
    fine(app)
    assert not [item.value for item in app.info if "left out" in item.value]


def test_stored_numbers_are_said_to_be_of_everybody(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """More pairs than one can wait for, also on that side."""
    lab, data, model = home
    half(lab, data)
    monkeypatch.setattr(evidence, "MANY", 10)
    app = opened(monkeypatch, lab, "verification", on="faces", model=model.run_id, selection="half")
    fine(app)
    assert any("These are numbers of everybody" in item.value.replace("\\", "") for item in app.warning)
