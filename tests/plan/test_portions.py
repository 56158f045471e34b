"""Faces by recipe in a study: named portions, their sizes before they are made, and students that are left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fairlab.compare.compare import compare
from fairlab.data.dataset import open_dataset
from fairlab.data.recipes import drawn_size, most
from fairlab.data.selections import delete_selection, save_selection
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import Recipe, Study, changed
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.in_process import carry_out_all

MIX = {"dataset": "real", "mix": "synthetic", "share": 0.3, "equal": True}


def asked(learn_from: tuple[str, ...], recipes: dict[str, object], **dials: object) -> Study:
    found = {"grid.learn_from": learn_from, "grid.recipes": recipes, "student.training.batch_size": 4, **dials}
    return changed(load_preset("tiny"), found)


def test_the_33_models_of_the_synthetic_gap(lab: Workspace) -> None:
    """Golden G24b: 3 networks x (3 sets x 3 + 2 sets x 1), of one teacher by loss each; on generated faces to be planned here."""
    study = changed(
        load_preset("synthetic_gap_33"),
        {"dataset": "", "grid.synthetic": "", "demo": {}, "grid.recipes.equal_ids.count": 10},
    )
    runs = expand(study, "x", lab).runs
    students = [run.record for run in runs if run.record.role == "student"]
    assert len(students) == 33
    assert sum(run.record.role == "teacher" for run in runs) == 2
    assert Counter((run.title.split("; ")[0].partition(", ")[2].rstrip(")"), run.method) for run in students if "50" in run.title) == {
        ("balanced", "classifier"): 1, ("balanced", "eaf_kd"): 2, ("synthetic", "classifier"): 1, ("synthetic", "eaf_kd"): 2,
        ("mix", "classifier"): 1, ("mix", "eaf_kd"): 2, ("equal_ids", "eaf_kd"): 1, ("equal_images", "eaf_kd"): 1,
    }  # fmt: skip
    adaface = [run.title for run in students if "adaface" in run.title]
    assert not [title for title in adaface if "equal" in title]


def test_golden_counts_of_the_papers_mixture() -> None:
    """G24b: 70/30 of 22,094 people is 15,466 real and 6,628 synthetic ones."""
    assert most([15_466, 6_628], Recipe(mix="x", share=0.3)) == 22_094


@pytest.mark.parametrize("recipe", [
    {**MIX, "unit": "identities"},
    {**MIX, "unit": "images"},
    {**MIX, "equal": False},
    {**MIX, "equal": False, "unit": "images"},
    {**MIX, "count": 5},
    {"dataset": "real", "groups": ["Group B"]},
    {"dataset": "real", "equal": True, "count": 7},
    {"dataset": "synthetic", "mix": "real", "share": 0.5},
    {"dataset": "real", "count": 30, "unit": "images"},
])  # fmt: skip
def test_the_size_of_a_recipe_is_known_before_it_is_made(
    tiny: Workspace, lab: Workspace, recipe: dict[str, object]
) -> None:
    """From the settings of faces that do not exist yet, and from the tables of those that do."""
    study = asked(("mine",), {"mine": recipe})
    planned = [
        next(run for run in expand(study, "tiny", where).runs if run.record.title.startswith("Student without"))
        for where in (lab, tiny)
    ]
    made = next(
        run.record.config.recipe for run in expand(study, "tiny", tiny).runs if run.record.title == "Faces mine"
    )
    assert isinstance(made, Recipe)
    steps = drawn_size(made, tiny.datasets_folder / "new") // 4 * study.student.training.epochs
    assert planned[0].steps == planned[1].steps == steps > 0


@pytest.fixture
def tinyasked() -> None:
    """The fixture `tiny` of conftest has the name of the function above; this keeps them apart."""


def test_a_recipe_of_a_whole_set_is_that_set(lab: Workspace) -> None:
    """Nothing is made, and its students may inherit the teacher's classifier: the people are the same."""
    study = asked(
        ("balanced", "generated"),
        {"balanced": {"dataset": "real"}, "generated": {"dataset": "synthetic"}},
        **{"grid.relatives": ("hinton_kd",)},
    )
    plan = expand(study, "tiny", lab)
    assert [run.record.title for run in plan.runs if run.record.role == "dataset"] == ["Demo faces"]
    titles = [run.record.title for run in plan.runs]
    assert "Student Hinton-KD (balanced)" in titles
    assert "Student Hinton-KD (generated)" not in titles


def test_the_share_of_a_recipe_is_an_axis(lab: Workspace) -> None:
    study = asked(("mine",), {"mine": MIX}, **{"grid.vary": {"grid.recipes.mine.share": [0.3, 0.5]}})
    plan = expand(study, "tiny", lab)
    assert [run.record.title for run in plan.runs if run.record.role == "dataset"] == [
        "Demo faces", "Faces mine (share 0.3)", "Faces mine (share 0.5)",
    ]  # fmt: skip
    assert sum(run.record.title.startswith("Teacher") for run in plan.runs) == 2


@pytest.mark.parametrize(
    ("learn_from", "recipes", "sentence"),
    [
        (("reel",), {}, "there is no 'reel'; choose among: real, synthetic, mixed (did you mean 'real'?)"),
        (("real", "real"), {}, "names one kind of faces twice"),
        (("real",), {"mine": MIX}, "recipes.mine is not used"),
        (("mine",), {"mine": {"mix": "synthetic"}}, "recipes.mine.dataset is missing"),
        (("real",), {"real": MIX}, "'real' cannot be the name of a recipe"),
        (("mine",), {"mine": {**MIX, "parts": 2}}, "recipes.mine.parts is not used in a study"),
        (("mine",), {"mine": {**MIX, "shares": 1}}, "shares"),
        (("mine",), {"mine": {"dataset": "nobody"}}, "there is no data set 'nobody'"),
        (("mine",), {"mine": {**MIX, "count": 999}}, "grid.recipes.mine: 999 identities requested in each group, and there are"),
        (("mine",), {"mine": {"dataset": "real", "groups": ["C"]}}, "grid.recipes.mine: generated faces have no 'C'"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_one_sentence(
    lab: Workspace, learn_from: tuple[str, ...], recipes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(asked(learn_from, recipes), "tiny", lab)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("leave_out", "sentence"),
    [
        ([{"method": "rkd"}], "grid.leave_out: there is no method 'rkd'; this study has: eaf_kd, classifier"),
        ([{"learn_from": "mixt"}], "grid.leave_out: there is no learn_from 'mixt'; this study has: real"),
        ([{"student.loss.margin_radd": 1}], "grid.leave_out: there is no setting 'student.loss.margin_radd'"),
        ([{"method": "eaf_kd"}, {"student.loss.margin_rad": 1.5}], "grid.leave_out: table 2 leaves out no student"),
    ],
)
def test_what_leaves_out_nothing_is_one_sentence(lab: Workspace, leave_out: list[object], sentence: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(changed(load_preset("tiny"), {"grid.leave_out": leave_out}), "tiny", lab)
    assert sentence in str(refusal.value)


def test_a_student_is_left_out_where_all_of_a_table_holds(lab: Workspace) -> None:
    dials = {
        "grid.vary": {"student.loss.margin_rad": [0.1, 0.2]},
        "grid.leave_out": [{"method": "classifier", "student.loss.margin_rad": 0.2}],
    }
    titles = [run.record.title for run in expand(changed(load_preset("tiny"), dials), "tiny", lab).runs]
    assert [title for title in titles if title.startswith("Student")] == [
        "Student EAF-KD (SL, specialised; margin_rad 0.1)",
        "Student without KD (margin_rad 0.1)",
        "Student EAF-KD (SL, specialised; margin_rad 0.2)",
    ]


@pytest.mark.timeout(900)
def test_the_grid_of_33_at_tiny_size_for_real(lab: Workspace) -> None:
    """All five sets, both teachers and all eleven students of one network, trained and judged in one table."""
    short = {"epochs": 1, "drop_epochs": ()}
    dials = {f"{role}.training.{name}": value for role in ("teacher", "student") for name, value in short.items()}
    study = changed(load_preset("tiny_synthetic_gap"), {**dials, "evaluation.bootstrap": 100})
    plan = expand(study, "tiny_synthetic_gap", lab)
    carry_out_all(lab, plan)
    table = compare(lab, plan.study_id)
    students = table[table["role"] == "student"]
    assert len(students) == 11
    assert set(students["varied:teacher.loss.name"].dropna()) == {"elastic_arcface", "adaface"}
    assert sorted(students.loc[students["method"] == "classifier", "model"]) == [
        f"Student without KD ({name})" for name in ("balanced", "mix", "synthetic")
    ]
    assert students["mean"].between(0, 100).all()


def test_faces_of_a_selection(tiny: Workspace, lab: Workspace, tmp_path: Path) -> None:
    """As many images as its side has; saved anew with other images they are another data set; without data it is refused."""
    copy = open_workspace(copied_home(tiny.home, tmp_path / "copy"))
    data = open_dataset(next(copy.datasets_folder.glob("demo-*")))
    recipe = {"dataset": "real", "selection": "easy", "selected": "without_images"}
    study, made = asked(("mine",), {"mine": recipe}), []
    for ids in (np.arange(24), np.arange(24, 40)):
        save_selection(copy, data, "easy", ids)
        runs = expand(study, "tiny", copy).runs
        made.append(next(run.record.dataset for run in runs if run.record.title == "Faces mine"))
        student = next(run for run in runs if run.record.title.startswith("Student without"))
        assert student.steps == (144 - len(ids)) // 4 * study.student.training.epochs
        delete_selection(copy, data.dataset_id, "easy")
    assert made[0] != made[1]
    with pytest.raises(
        FairLabError, match=r"grid\.recipes\.mine: .*no saved selection 'easy'|has no saved selection 'easy'"
    ):
        expand(study, "tiny", lab)
