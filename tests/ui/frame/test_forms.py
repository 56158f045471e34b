"""Forms made from settings: every preset shows, nothing changes by itself, and every dial can change."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from fairlab.presets import load_preset, preset_names


def _page(preset: str) -> None:
    import streamlit as st

    from fairlab.presets import load_preset
    from fairlab.ui.frame.forms import study_form

    st.session_state["changes"] = study_form(load_preset(preset), "k", ("title", "summary", "paper", "needs", "order"))


def opened(preset: str) -> AppTest:
    return AppTest.from_function(_page, kwargs={"preset": preset}, default_timeout=30).run()


@pytest.mark.parametrize("preset", preset_names())
def test_an_untouched_form_changes_nothing(preset: str) -> None:
    """What the widgets give back is what the preset says."""
    app = opened(preset)
    assert not app.exception
    assert app.session_state["changes"] == {}


def test_every_field_has_its_sentence_as_help() -> None:
    """The same sentence as in --help."""
    epochs = opened("tiny").number_input(key="k:student.training.epochs")
    field = type(load_preset("tiny").student.training).model_fields["epochs"]
    assert epochs.help == field.description
    assert epochs.min == 1


@pytest.mark.parametrize(
    ("kind", "field", "value", "expected"),
    [
        ("number_input", "teacher.training.epochs", 3, 3),
        ("number_input", "teacher.training.base_lr", 0.25, 0.25),
        ("selectbox", "teacher.backbone.name", "iresnet18", "iresnet18"),
        ("checkbox", "plain_student", False, False),
        ("checkbox", "student.training.compile", True, True),
        ("selectbox", "student.training.optimiser", "adamw", "adamw"),
        ("number_input", "student.training.ema_decay", 0.99, 0.99),
        ("number_input", "student.loss.sample_rate", 0.3, 0.3),
        ("text_input", "student.training.drop_epochs", "1, 2", (1, 2)),
        ("text_input", "demo.groups", "X, Y, Z", ("X", "Y", "Z")),
        ("number_input", "student.distillation.eaf_kd.kd_weight", 12.5, 12.5),
        ("selectbox", "student.distillation.eaf_kd.view", "mean", "mean"),
        ("multiselect", "adaptors", ["dul"], ("dul",)),
    ],
)
def test_a_dial_turned_is_a_change_of_its_type(kind: str, field: str, value: object, expected: object) -> None:
    """Numbers stay numbers, lists become tuples, and only what was touched is returned."""
    app = opened("tiny")
    getattr(app, kind)(key=f"k:{field}").set_value(value).run()
    assert not app.exception
    assert app.session_state["changes"] == {field: expected}
