"""Settings: typed, limited, described once, and a wrong one is answered with a sentence."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlab.errors import FairLabError
from fairlab.settings import distillation as distillation_settings
from fairlab.settings import loss as loss_settings
from fairlab.settings import study as study_settings
from fairlab.settings.base import Chosen
from fairlab.settings.study import Data, Evaluation, Run, Settings, Study, changed, parse

KINDS = [
    kind
    for part in (study_settings, loss_settings, distillation_settings)
    for _, kind in inspect.getmembers(part, inspect.isclass)
    if issubclass(kind, Settings)
]
STUDY = {"dataset": "d"}


def study(**values: object) -> Study:
    return parse(Study, {**STUDY, **values}, "test")


def test_every_field_has_its_sentence_or_is_a_group_of_settings() -> None:
    for kind in KINDS:
        for name, field in kind.model_fields.items():
            group = isinstance(field.get_default(), Settings)
            sentence = inspect.getdoc(kind) if issubclass(kind, Chosen) and name == "name" else field.description
            assert group or kind is Run or sentence, f"{kind.__name__}.{name}"


def test_the_defaults_are_the_papers() -> None:
    """MST-KD (arXiv 2408.16563) and its code: the figures that a reader would look up."""
    found = study()
    for part in (found.teacher, found.student):
        assert (part.training.batch_size, part.training.momentum, part.training.weight_decay) == (128, 0.9, 5e-4)
        assert (part.loss.scale, part.loss.margin_rad, part.loss.sigma_rad) == (64.0, 0.5, 0.05)
        assert (part.backbone.name, part.backbone.embedding_dim) == ("iresnet34", 512)
    assert (found.adaptor.training.base_lr, found.adaptor.training.epochs) == (1.0, 26)
    assert found.adaptor.loss.sigma_rad == 0.0125


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epocs": 5}, "test: there is no setting 'epocs'; known here: title, summary"),
        ({"student": {"training": {"epocs": 5}}}, "'student.training.epocs'; known here: epochs, batch_size"),
        ({"teacher": {"training": {"epochs": 0}}}, "teacher.training.epochs: Input should be greater than or equal to 1"),
        ({"seeds": (1, 1)}, "seeds must differ"),
        ({"seeds": (-1,)}, "seeds.0: Input should be greater than or equal to 0"),
        ({"seeds": (99999999999999999999,)}, "seeds.0: Input should be less than or equal to 2147483647"),
        ({"seeds": ()}, "seeds: "),
        ({"dataset": ""}, "a study needs data"),
        ({"arms": (), "students": (), "plain_student": False}, "nothing to do"),
        ({"adaptors": ()}, "needs an arm of teachers and an adaptor"),
        ({"grid": {"distil_from": ("dul",)}}, "grid.distil_from names 'dul', which is not among adaptors"),
        ({"demo": {"groups": ("A", "A")}}, "demo: groups must have different"),
        ({"demo": {"groups": (" ",)}}, "demo: groups must have different, non-empty names"),
        ({"evaluation": {"fmr_targets": (5.0,)}}, "evaluation.fmr_targets.0: Input should be less than 1"),
        ({"evaluation": {"fmr_targets": (-0.1,)}}, "fmr_targets.0: Input should be greater than or equal to 0"),
        ({"evaluation": {"fmr_targets": (0.1, 0.1)}}, "fmr_targets must be different fractions"),
        ({"student": {"training": {"drop_epochs": (9, 3)}}}, "drop_epochs must rise"),
        ({"student": {"training": {"drop_epochs": (-1, 3)}}}, "drop_epochs.0: Input should be greater than or equal to 0"),
        ({"teacher": {"training": {"base_lr": float("nan")}}}, "teacher.training.base_lr: "),
        ({"teacher": {"training": {"base_lr": float("inf")}}}, "teacher.training.base_lr: "),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_would_be_right(values: dict[str, object], said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        study(**values)


def test_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FairLabError, match="part 4 does not exist: there are 4 parts, counted from 0"):
        parse(Data, {"parts": 4, "part": 4}, "test")


def test_settings_do_not_change() -> None:
    found = study()
    with pytest.raises(ValueError, match="frozen"):
        found.title = "x"  # type: ignore[misc]


def test_dials_change_what_they_name_and_nothing_else() -> None:
    before = study()
    after = changed(before, {"student.training.epochs": 5, "seeds": (3, 4)})
    assert after.student.training.epochs == 5
    assert after.seeds == (3, 4)
    same = {"student": before.student, "seeds": before.seeds}
    assert after.model_copy(update=same) == before


@pytest.mark.parametrize(
    ("dial", "said"),
    [
        ("student.training.epocs", "there is no setting 'student.training.epocs'; known here: epochs"),
        ("student.trainning.epochs", "there is no group of settings 'student.trainning'"),
        ("demo.seed", "there is no group of settings 'demo'"),
        ("title.x", "there is no group of settings 'title'"),
        ("", "there is no setting ''"),
    ],
)
def test_a_wrong_dial_is_named(dial: str, said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        changed(study(), {dial: 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Study.model_fields, "other"]), JSON, max_size=4))
def test_any_json_is_settings_or_one_sentence(values: dict[str, object]) -> None:
    try:
        parse(Study, values, "somewhere")
    except FairLabError as error:
        assert str(error).startswith("somewhere: ")  # noqa: PT017 - some of it is fine


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=5, unique=True))
def test_fractions_are_operating_points(rates: list[float]) -> None:
    assert list(parse(Evaluation, {"fmr_targets": rates}, "x").fmr_targets) == rates
