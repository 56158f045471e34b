"""Students of all teachers of an arm: one for each arm and variant, and refused before anything is registered."""

from __future__ import annotations

import pytest

from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan
from fairlab.presets import load_preset
from fairlab.settings.study import Study, changed
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

MST = "student.distillation.mst_distill"


def study(**dials: object) -> Study:
    return changed(load_preset("demo_mst_kd"), {"students": ("mst_distill",), "adaptors": (), **dials})


def students(plan: Plan) -> dict[str, RunRecord]:
    return {run.record.title: run.record for run in plan.runs if run.record.method == "mst_distill"}


def test_a_student_of_each_arm_has_all_its_teachers(lab: Workspace) -> None:
    """In their order, and no common space; the demo has four groups."""
    plan = expand(study(), "x", lab)
    titles = {run.record.run_id: run.record.title for run in plan.runs}
    found = students(plan)
    assert set(found) == {"Student MST-Distill (specialised)", "Student MST-Distill (balanced)"}
    assert not [run for run in plan.runs if run.record.role == "adaptor"]
    of_arm = [titles[name] for name in found["Student MST-Distill (balanced)"].parents]
    assert of_arm == [f"Balanced teacher {number}" for number in (1, 2, 3, 4)]
    record = found["Student MST-Distill (specialised)"]
    assert len(record.parents) == 4
    assert record.config.distillation is not None
    assert record.config.distillation.name == "mst_distill"
    assert record.config.loss is not None


def test_it_stands_beside_students_of_spaces_and_every_variant(lab: Workspace) -> None:
    """Two networks, real and mixed faces; the teachers embed faces that they did not learn from."""
    dials = {"students": ("eaf_kd", "mst_distill"), "adaptors": ("sl",), "arms": ("specialised",)}
    grid = {"grid.backbones": ("tiny", "iresnet18"), "grid.learn_from": ("real", "mixed")}
    plan = expand(study(**dials, **grid), "x", lab)
    assert len(students(plan)) == 4
    by_id = {run.record.run_id: run.record for run in plan.runs}
    for title, record in students(plan).items():
        roles = [by_id[name].role for name in record.parents]
        assert roles == ["teacher"] * 4 + (["embedding"] if "mixed" in title else []), title
    eaf = [run for run in plan.runs if run.record.method == "eaf_kd"]
    assert len(eaf) == 4


def test_more_teachers_than_there_are_is_refused(lab: Workspace) -> None:
    with pytest.raises(FairLabError, match=r"mst_distill\.top_k: .* to 5 teachers: there are 4 specialised ones"):
        expand(study(**{f"{MST}.top_k": 5}), "x", lab)
    assert students(expand(study(**{f"{MST}.top_k": 4}), "x", lab))


def test_models_that_are_there_teach_unless_their_lengths_differ(tiny: Workspace) -> None:
    """Two teachers of 16; a concatenation has 32 numbers."""
    names = {path.name.rpartition("-s0-")[0]: path.name for path in tiny.runs_folder.iterdir()}
    teachers = [names["teacher-group-a"], names["teacher-group-b"]]
    dials = {"students": ("mst_distill",), "adaptors": (), "arms": (), "concatenation": False}

    def given(*models: str) -> Plan:
        return expand(changed(load_preset("tiny"), {**dials, "grid.given": models}), "x", tiny)

    plan = given(*teachers)
    (record,) = students(plan).values()
    assert record.title == "Student MST-Distill (given)"
    assert list(record.parents[:2]) == teachers
    concatenation = next(name for start, name in names.items() if start.startswith("concatenation"))
    with pytest.raises(FairLabError, match=r"must be equally long; their lengths are: Teacher Group A 16, Concat.* 32"):
        given(teachers[0], concatenation)


def test_the_ids_of_other_runs_are_as_before(lab: Workspace) -> None:
    """A student more changes nobody's parents but the maps'."""
    plain = expand(changed(load_preset("demo_mst_kd"), {}), "x", lab)
    both = expand(changed(load_preset("demo_mst_kd"), {"students": ("eaf_kd", "mst_distill")}), "x", lab)
    ids = {run.record.run_id for run in plain.runs if run.record.role != "projection"}
    assert ids < {run.record.run_id for run in both.runs}
