"""What does not hang on an axis is planned once, keeps its id, and titles tell what is varied."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan, with_words
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.workspace import Workspace

WEIGHT, MARGIN = "student.distillation.eaf_kd.kd_weight", "teacher.loss.margin_rad"


def tiny(lab: Workspace, vary: dict[str, list[object]], **dials: object) -> Plan:
    return expand(changed(load_preset("tiny"), {"grid.vary": vary, **dials}), "tiny", lab)


def test_only_what_hangs_on_the_axis_is_planned_again(lab: Workspace) -> None:
    """Everything else is the very run of the study without axes, so it is trained once over all studies."""
    plain = {run.record.run_id for run in tiny(lab, {}).runs}
    plan = tiny(lab, {WEIGHT: [1, 10, 100]})
    again = [run for run in plan.runs if run.record.run_id not in plain]
    assert [run.record.title for run in again] == [
        *(f"Student EAF-KD (SL, specialised; kd_weight {value})" for value in (1, 10, 100)),
        "Maps",
    ]
    assert [dict(run.varied) for run in again[:3]] == [{WEIGHT: value} for value in (1.0, 10.0, 100.0)]
    assert {run.like for run in again[:3]} == {"Student EAF-KD (SL, specialised)"}
    assert len(plan.runs) == len(plain) + 2
    kept = [run for run in plan.runs if run.record.run_id in plain]
    assert not any(run.varied for run in kept)


def test_a_study_of_one_combination_alone_has_the_settings_of_that_run(lab: Workspace) -> None:
    """The same work as without axes: equal settings and equal parents' settings, run by run."""
    plan = tiny(lab, {MARGIN: [0.2, 0.3]})
    for value in (0.2, 0.3):
        alone = {run.record.title: run for run in tiny(lab, {}, **{MARGIN: value}).runs}
        for run in plan.runs:
            if run.varied.get(MARGIN, value) == value and run.record.role != "projection":
                assert run.record.config == alone[run.like].record.config
                assert run.steps == alone[run.like].steps


def test_every_combination_of_what_a_run_hangs_on_is_there_once(lab: Workspace) -> None:
    """Teachers hang on one axis, the plain student on none, the taught students on both."""
    plan = tiny(lab, {WEIGHT: [1, 10], MARGIN: [0.1, 0.2, 0.3]}, seeds=(0, 1))
    count = Counter((run.record.role, tuple(run.varied)) for run in plan.runs)
    assert count == {
        ("dataset", ()): 1,
        ("teacher", (MARGIN,)): 2 * 3 * 2,
        ("baseline", (MARGIN,)): 3 * 2,
        ("adaptor", (MARGIN,)): 3 * 2,
        ("student", (WEIGHT, MARGIN)): 2 * 3 * 2,
        ("student", ()): 2,
        ("projection", ()): 2,
    }
    taught = [tuple(run.varied.values()) for run in plan.runs if len(run.varied) == 2 and run.record.seed == 1]
    assert sorted(taught) == sorted(product((1.0, 10.0), (0.1, 0.2, 0.3)))
    assert len({(run.record.title, run.record.seed) for run in plan.runs}) == len(plan.runs)


def test_parents_come_first_and_have_the_values_of_their_children(lab: Workspace) -> None:
    plan = tiny(lab, {WEIGHT: [1, 10], MARGIN: [0.1, 0.2]}, **{"grid.relatives": ("rkd",), "grid.cross_model": True})
    seen: dict[str, float | None] = {}
    for run in plan.runs:
        assert set(run.record.parents) <= set(seen)
        if run.record.role != "projection":
            values = {seen[name] for name in run.record.parents} - {None}
            assert values <= {run.varied.get(MARGIN)}
        seen[run.record.run_id] = run.varied.get(MARGIN)


def test_one_set_of_maps_shows_the_models_of_all_combinations(lab: Workspace) -> None:
    plan = tiny(lab, {WEIGHT: [1, 10]}, seeds=(0, 1))
    maps = [run.record for run in plan.runs if run.record.role == "projection"]
    models = [run.record for run in plan.runs if run.record.role not in ("projection", "dataset")]
    assert [sorted(one.parents) for one in maps] == [
        sorted(model.run_id for model in models if model.seed == seed) for seed in (0, 1)
    ]


def test_the_share_of_a_mixture_is_an_axis_of_what_learns_from_it(lab: Workspace) -> None:
    """Data sets keep the ids that other studies know; their titles tell the share all the same."""
    dials = {"grid.learn_from": ("real", "mixed"), "arms": (), "students": (), "grid.relatives": ("eaf_kd",)}
    plan = tiny(lab, {"grid.mix_share": [0.3, 0.5]}, **dials)
    titles = [run.record.title for run in plan.runs]
    assert titles.count("Teacher of everyone") == titles.count("Student EAF-KD (real)") == 1
    assert [title for title in titles if title.startswith("Mixed")] == [
        "Mixed faces (mix_share 0.3)",
        "Mixed faces (mix_share 0.5)",
    ]
    alone = expand(changed(load_preset("tiny"), {**dials, "grid.mix_share": 0.5}), "tiny", lab)
    made = {run.record.run_id for run in alone.runs if run.record.role == "dataset"}
    assert made <= {run.record.run_id for run in plan.runs}


@pytest.mark.parametrize(
    ("title", "words", "expected"),
    [
        ("Maps", [], "Maps"),
        ("Student without KD", ["x 1"], "Student without KD (x 1)"),
        ("Student EAF-KD (SL; real)", ["x 1", "y 2"], "Student EAF-KD (SL; real; x 1, y 2)"),
    ],
)
def test_words_go_into_the_brackets_that_are_there(title: str, words: list[str], expected: str) -> None:
    assert with_words(title, words) == expected
