"""The pairs behind a run's rates, from its stored scores: faces, people and attributes, in Python and as a command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairlab import Lab
from fairlab.compare.pairs import PAIRS_BEHIND
from fairlab.compare.scored import OWN
from fairlab.errors import FairLabError
from fairlab.store.runs import read_run
from fairlab.tables import matches
from fairlab.workspace import Workspace
from tests.conftest import command


def models_of(lab: Workspace) -> tuple[str, str]:
    """The student with distillation, and the one without."""
    names = [path.name for path in sorted(lab.runs_folder.iterdir()) if path.name.startswith("student")]
    return next(name for name in names if "eaf" in name), next(name for name in names if "without" in name)


def test_the_pairs_are_the_errors_that_fairness_counts(tiny: Workspace) -> None:
    student, other = models_of(tiny)
    model = Lab(tiny).models[student]
    rates = model.fairness(at_fmr=0.1).set_index(["group", "metric"])
    images = Lab(tiny).data[model.dataset].opened.images
    for group in ("Group A", "Group B"):
        for kind, metric in (("false-match", "fmr"), ("false-non-match", "fnmr")):
            found = model.pairs(kind, group, at_fmr=0.1)  # type: ignore[arg-type]
            assert len(found) == rates.loc[(group, metric), "errors"]
            for side in "ab":
                row = images.set_index("image_id").loc[found[f"image_{side}"]]
                assert row["identity"].tolist() == found[f"identity_{side}"].tolist()
    beside = model.pairs("nearest", against=other, at_fmr=0.1)
    theirs = Lab(tiny).models[other].pairs("nearest", at_fmr=0.1).set_index("pair_id")
    assert np.array_equal(beside["score_there"], theirs.loc[beside["pair_id"], "score"])
    assert matches(model.pairs(threshold=5.0), PAIRS_BEHIND)


def test_attributes_stand_beside_each_face(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    student, _ = models_of(tiny)
    model = Lab(tiny).models[student]
    data = Lab(tiny).data[model.dataset].opened
    age = [f"age {number % 3}" for number in range(len(data.images))]
    data.images[OWN + "age"] = age
    monkeypatch.setattr("fairlab.data.dataset.open_dataset", lambda _folder: data)
    found = model.pairs("nearest")
    assert [age[image] for image in found["image_b"]] == found["age_b"].tolist()
    by_age = model.pairs("nearest", "age 0", other_group="age 1", by=["age"])
    assert len(by_age) > 0
    assert {frozenset(both) for both in zip(by_age["group_a"], by_age["group_b"], strict=True)} == {
        frozenset({"age 0", "age 1"})
    }


def test_the_command_prints_what_python_returns(tiny: Workspace) -> None:
    student, other = models_of(tiny)
    asked = ["runs", "pairs", student, "--kind", "false-non-match", "--group", "Group B", "--at-fmr", "0.1"]
    told = command(tiny.home, *asked, "--against", other, "--among", "both", "--most", "3", "--json")
    expected = Lab(tiny).models[student].pairs("false-non-match", "Group B", against=other, among="both", at_fmr=0.1)
    assert [row["pair_id"] for row in json.loads(told.stdout)] == expected["pair_id"].head(3).tolist()
    assert f"the first 3 of {len(expected)} pairs" in told.stderr
    assert "score_there" not in command(tiny.home, *asked).stdout
    assert "no such pair" in command(tiny.home, *asked[:3], "--threshold", "2").stdout
    wrong = command(tiny.home, *asked[:3], "--group", "Group Z")
    assert wrong.returncode != 0
    assert "the groups are: Group A, Group B" in wrong.stderr


def test_a_run_without_scores_says_so(tiny: Workspace) -> None:
    faces = next(path.name for path in tiny.runs_folder.iterdir() if path.name.startswith("maps"))
    with pytest.raises(FairLabError, match=r"no numbers|no scored pairs|name the data set"):
        Lab(tiny).runs[faces].pairs()
    assert read_run(tiny, faces).role == "projection"
