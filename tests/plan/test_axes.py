"""Any setting is an axis of a study: every combination once, names with the nearest one, values that the settings allow."""

from __future__ import annotations

import pytest

from fairlab.errors import FairLabError
from fairlab.plan.axes import combinations, labels, names, text_of, words
from fairlab.plan.grid import expand
from fairlab.presets import load_preset, preset_names
from fairlab.settings.study import Study, changed
from fairlab.workspace import Workspace

WEIGHT, MARGIN = "student.distillation.eaf_kd.kd_weight", "teacher.loss.margin_rad"


def tiny(vary: object, **dials: object) -> Study:
    return changed(load_preset("tiny"), {"grid.vary": vary, **dials})


def test_every_combination_has_its_values_the_last_axis_fastest() -> None:
    found = combinations(tiny({WEIGHT: [1, 10], MARGIN: [0.1, 0.2]}))
    assert [tuple(one.values.values()) for one in found] == [(1.0, 0.1), (1.0, 0.2), (10.0, 0.1), (10.0, 0.2)]
    assert [(one.study.student.distillation.eaf_kd.kd_weight, one.study.teacher.loss.model_dump()["margin_rad"]) for one in found] == [
        (1.0, 0.1),
        (1.0, 0.2),
        (10.0, 0.1),
        (10.0, 0.2),
    ]  # fmt: skip
    assert all(one.study.grid.vary == {} for one in found)


def test_without_axes_there_is_one_combination_the_study_itself() -> None:
    study = load_preset("tiny")
    assert [(one.values, one.study) for one in combinations(study)] == [({}, study)]


@pytest.mark.parametrize("preset", preset_names())
def test_every_offered_axis_is_a_setting_of_the_study(preset: str) -> None:
    """No name is offered that the study then refuses: its value as it is can be set again."""
    study = load_preset(preset)
    assert len(names(study)) > 40
    for name in names(study):
        value: object = study
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
        if value is not None:
            changed(study, {name: value})


def test_offered_are_the_methods_and_losses_that_the_study_has() -> None:
    def offered(study: Study, part: str) -> set[str]:
        return {name for name in names(study) if name.startswith(part)}

    study = load_preset("tiny")
    assert offered(study, "student.distillation.") == {
        f"student.distillation.eaf_kd.{field}" for field in ("view", "online", "kd_weight")
    }
    assert "student.loss.norm_concentration" not in names(study)
    other = tiny({"student.loss.name": ["arcface", "adaface"]})
    assert "student.loss.norm_concentration" in names(other)
    losses = changed(study, {"grid.losses": ("adaface", "arcface")})
    assert "grid.loss.adaface.margin_cos" in names(losses)
    assert "student.loss.name" not in names(losses)


@pytest.mark.parametrize(
    ("vary", "sentence"),
    [
        ({"student.distillation.kd_weight": [1, 2]}, f"there is no setting 'student.distillation.kd_weight' (did you mean '{WEIGHT}'?)"),
        ({"student.loss.margin_radd": [1, 2]}, "there is no setting 'student.loss.margin_radd' (did you mean 'student.loss.margin_rad'?)"),
        ({"xyz": [1, 2]}, "there is no setting 'xyz'; axes are settings of teacher, adaptor, student and grid.loss, and"),
        ({"seeds": [1, 2]}, "seeds cannot be an axis: it takes several values itself"),
        ({"students": ["a_kd", "eaf_kd"]}, "students cannot be an axis: it takes several values itself"),
        ({"grid.backbones": ["tiny", "vit_t"]}, "grid.backbones cannot be an axis: it takes several values itself"),
        ({"demo.seed": [1, 2]}, "demo.seed cannot be an axis: models that learn from and are judged on other faces"),
        ({"evaluation.bootstrap": [200, 300]}, "it does not change what a model learns"),
        ({"plain_student": [True, False]}, "it does not change what a model learns"),
        ({"student.distillation.rkd.kd_weight": [1, 2]}, "the study trains no rkd student; it trains: eaf_kd"),
        ({"student.distillation.eaf_kd.kd_weigth": [1, 2]}, f"there is no setting 'student.distillation.eaf_kd.kd_weigth' (did you mean '{WEIGHT}'?)"),
        ({"adaptor.adaptor.name": ["sl", "dul"]}, "name the common spaces in adaptors"),
        ({"adaptor.adaptor.top_k": [1, 2]}, "only gate uses it, and it is not among adaptors"),
        ({"student.loss.margin_cos": [0.1, 0.2]}, "elastic_arcface has no setting 'margin_cos'"),
        ({MARGIN: [0.1]}, f"{MARGIN} needs two values or more"),
        ({WEIGHT: [1, 1.0]}, f"{WEIGHT} has one value twice: 1, 1"),
        ({MARGIN: [0.1, 5]}, "grid.vary at teacher margin_rad 5: teacher.loss.margin_rad: Input should be less than 1.6"),
        ({"student.training.epochs": ["a", 2]}, "grid.vary at epochs a: student.training.epochs: Input should be a valid integer"),
        ({"student.loss.name": ["arcfac", "arcface"]}, "(did you mean 'arcface'?)"),
        (
            {"student.loss.name": ["adaface", "arcface"], "student.loss.margin_rad": [0.1, 0.2]},
            "grid.vary at loss adaface, margin_rad 0.1: student.loss.margin_rad: adaface has no setting 'margin_rad'",
        ),
        (
            {"teacher.training.epochs": list(range(1, 31)), "student.training.epochs": list(range(4, 34))},
            "grid.vary has 900 combinations of values; give axes or values of 500 at most",
        ),
    ],
)  # fmt: skip
def test_an_axis_that_cannot_be_is_one_sentence(vary: dict[str, object], sentence: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        combinations(tiny(vary))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("vary", "sentence"),
    [
        ({"student.backbone.name": ["tiny", "iresnet81"]}, "student.backbone.name: there is no 'iresnet81'; choose one of: "),
        ({"grid.mix_share": [0.2, 0.3]}, "grid.vary: grid.mix_share changes no run of this study"),
    ],
)  # fmt: skip
def test_what_only_the_plan_knows_is_one_sentence_too(lab: Workspace, vary: dict[str, object], sentence: str) -> None:
    with pytest.raises(FairLabError) as refusal:
        expand(tiny(vary), "tiny", lab)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("vary", [{MARGIN: 3}, {MARGIN: []}, {MARGIN: [None, 1]}, [1], "x", {"x" * 300: [1, 2]}])
def test_what_is_no_table_of_lists_is_refused_by_the_settings(vary: object) -> None:
    with pytest.raises(FairLabError) as refusal:
        tiny(vary)
    assert "grid.vary" in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_a_setting_taken_by_the_grid_is_no_axis() -> None:
    study = tiny({"student.backbone.name": ["tiny", "vit_t"]}, **{"grid.backbones": ("tiny", "iresnet18")})
    with pytest.raises(FairLabError, match=r"grid\.backbones takes its place in this study"):
        combinations(study)


def test_short_names_tell_axes_apart() -> None:
    axes = ["student.backbone.name", "teacher.backbone.name", "student.loss.margin_rad", "adaptor.loss.margin_rad"]
    assert list(labels(axes).values()) == ["backbone", "teacher backbone", "margin_rad", "adaptor margin_rad"]
    twice = ["student.distillation.rkd.kd_weight", "student.distillation.sp.kd_weight", "grid.mix_share", "held_out"]
    assert list(labels(twice).values()) == ["rkd kd_weight", "sp kd_weight", "mix_share", "held_out"]
    assert words({axes[0]: "tiny", axes[3]: 0.1}, axes) == ["backbone tiny", "adaptor margin_rad 0.1"]
    assert [text_of(value) for value in (10.0, 0.1, True, (3, 5), (), "x")] == ["10", "0.1", "true", "3-5", "none", "x"]
