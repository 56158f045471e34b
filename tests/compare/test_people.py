"""The people behind a run's rates, from its stored scores, in Python and as a command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairlab import Lab
from fairlab.errors import FairLabError
from fairlab.evaluation.menagerie import ANIMALS
from fairlab.workspace import Workspace
from tests.compare.test_pairs import models_of
from tests.conftest import command


def test_people_add_up_to_the_rates(tiny: Workspace) -> None:
    student, _ = models_of(tiny)
    model = Lab(tiny).models[student]
    rates = model.fairness(at_fmr=0.1).set_index(["group", "metric"])
    found = model.people("false-non-match", at_fmr=0.1)
    assert (np.diff(found["false_non_matches"]) <= 0).all()
    for group in ("Group A", "Group B"):
        own = found[found["group"] == group]
        assert own["false_non_matches"].sum() == rates.loc[(group, "fnmr"), "errors"]
        assert own["false_matches"].sum() == 2 * rates.loc[(group, "fmr"), "errors"]
    person = found.iloc[0]
    pairs = model.pairs("false-non-match", person=person["identity"], at_fmr=0.1)
    assert len(pairs) == person["false_non_matches"]
    assert set(model.people(table="zoo", at_fmr=0.1)["animal"]) == set(ANIMALS)


def test_the_command_prints_what_python_returns(tiny: Workspace) -> None:
    student, _ = models_of(tiny)
    asked = ["runs", "people", student, "--at-fmr", "0.1"]
    told = command(tiny.home, *asked, "--group", "Group B", "--table", "shares", "--json")
    expected = Lab(tiny).models[student].people(group="Group B", table="shares", at_fmr=0.1)
    assert [row["share"] for row in json.loads(told.stdout)] == pytest.approx(expected["share"].tolist())
    first = command(tiny.home, *asked, "--most", "2")
    assert "the first 2 of 20 people" in first.stderr
    assert len(first.stdout.splitlines()) == 3
    with pytest.raises(FairLabError, match="the groups are: Group A, Group B"):
        Lab(tiny).models[student].people(group="Group Z")
    with pytest.raises(FairLabError, match="choose from: people, shares"):
        Lab(tiny).models[student].people(table="wolves")
