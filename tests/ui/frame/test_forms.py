"""Forms made from settings: every preset shows, nothing changes by itself, and every dial can change."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from fairlab.presets import load_preset, preset_names
from fairlab.settings.backbone import PatchEchoSettings
from fairlab.settings.loss import CosFaceSettings
from fairlab.settings.study import changed, training_in_grid


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


def keys(app: AppTest, beginning: str) -> set[str]:
    """The names of the widgets whose setting begins so, without what comes before."""
    widgets = [*app.number_input, *app.selectbox, *app.checkbox, *app.text_input, *app.multiselect]
    named = [str(widget.key).rpartition(":")[2] for widget in widgets]
    return {name.removeprefix(beginning) for name in named if name.startswith(beginning)}


def test_a_loss_has_only_the_fields_that_it_uses() -> None:
    """Another loss has others, with what both know kept; what is turned then is a change beside the name."""
    app = opened("tiny")
    assert keys(app, "student.loss.") == {"name", "scale", "sample_rate", "margin_rad", "margin_factor", "sigma_rad"}
    app.selectbox(key="k:student.loss.name").set_value("cosface").run()
    assert keys(app, "student.loss.") == {"name", "scale", "sample_rate", "margin_cos"}
    assert app.session_state["changes"] == {"student.loss.name": "cosface"}
    assert app.number_input(key="k:cosface:student.loss.scale").value == 16.0
    app.number_input(key="k:cosface:student.loss.margin_cos").set_value(0.3).run()
    assert app.session_state["changes"] == {"student.loss.name": "cosface", "student.loss.margin_cos": 0.3}
    found = changed(load_preset("tiny"), app.session_state["changes"]).student.loss
    assert found == CosFaceSettings(scale=16.0, margin_cos=0.3)


def test_a_network_has_only_the_fields_that_it_uses() -> None:
    """Those of its own where it has some; the length that was set stays; another network of the usual kind keeps all."""
    usual = {"name", "embedding_dim", "widths", "dropout"}
    app = opened("tiny")
    assert keys(app, "student.backbone.") == usual
    app.selectbox(key="k:student.backbone.name").set_value("patch_echo").run()
    assert keys(app, "student.backbone.") == {"name", *PatchEchoSettings.model_fields}
    assert app.session_state["changes"] == {"student.backbone.name": "patch_echo"}
    assert app.number_input(key="k:patch_echo:student.backbone.embedding_dim").value == 16
    app.number_input(key="k:patch_echo:student.backbone.patch_px").set_value(8).run()
    changes = app.session_state["changes"]
    assert changes == {"student.backbone.name": "patch_echo", "student.backbone.patch_px": 8}
    assert changed(load_preset("tiny"), changes).student.backbone == PatchEchoSettings(embedding_dim=16, patch_px=8)
    app.selectbox(key="k:student.backbone.name").set_value("mbf").run()
    assert keys(app, "student.backbone.") == usual
    assert app.session_state["changes"] == {"student.backbone.name": "mbf"}


def test_only_methods_that_are_trained_have_fields() -> None:
    app = opened("tiny")
    assert keys(app, "student.distillation.") == {f"eaf_kd.{name}" for name in ("kd_weight", "view", "online")}
    app.multiselect(key="k:grid.relatives").set_value(["hinton_kd"]).run()
    assert {"hinton_kd.temperature", "eaf_kd.view"} <= keys(app, "student.distillation.")
    app.number_input(key="k:student.distillation.hinton_kd.temperature").set_value(3.0).run()
    changes = app.session_state["changes"]
    assert changes == {"grid.relatives": ("hinton_kd",), "student.distillation.hinton_kd.temperature": 3.0}
    assert changed(load_preset("tiny"), changes).student.distillation.hinton_kd.temperature == 3.0
    app.multiselect(key="k:grid.relatives").set_value([])
    app.multiselect(key="k:students").set_value([]).run()
    assert keys(app, "student.distillation.") == set()
    assert app.session_state["changes"] == {"students": ()}


def test_each_loss_that_is_compared_has_fields_of_its_own() -> None:
    app = opened("tiny")
    app.multiselect(key="k:grid.losses").set_value(["elastic_arcface", "adaface"]).run()
    assert keys(app, "grid.loss.") == {
        f"adaface.{name}"
        for name in ("scale", "sample_rate", "margin_cos", "norm_concentration", "ema_weight", "compat")
    }
    assert app.number_input(key="k:grid.loss.adaface.scale").value == 16.0
    app.number_input(key="k:grid.loss.adaface.margin_cos").set_value(0.3).run()
    changes = app.session_state["changes"]
    assert changes == {"grid.losses": ("elastic_arcface", "adaface"), "grid.loss.adaface.margin_cos": 0.3}
    assert changed(load_preset("tiny"), changes).grid.loss == {"adaface": {"margin_cos": 0.3}}


def test_a_dial_of_the_usual_loss_changes_no_other_loss_of_the_grid_by_itself() -> None:
    """Streamlit keeps a widget's value under its key: the scale shown for AdaFace follows the usual one."""
    app = opened("tiny")
    app.multiselect(key="k:grid.losses").set_value(["elastic_arcface", "adaface"]).run()
    app.number_input(key="k:student.loss.scale").set_value(32.0).run()
    changes = app.session_state["changes"]
    assert changes == {"grid.losses": ("elastic_arcface", "adaface"), "student.loss.scale": 32.0}
    scales = [item.value for item in app.number_input if item.key.endswith("grid.loss.adaface.scale")]
    assert scales == [32.0]


PAIRS = {"pair_identities", "pair_images", "identity_rows"}


def test_settings_of_pairs_are_shown_where_batches_have_pairs() -> None:
    """And end with them, or the settings would be refused without a widget to change them."""
    app = opened("tiny")
    assert keys(app, "student.training.") & PAIRS == {"pair_identities"}
    app.number_input(key="k:student.training.pair_identities").set_value(2).run()
    assert keys(app, "student.training.") & PAIRS == PAIRS
    app.number_input(key="k:student.training.pair_images").set_value(3).run()
    changes = app.session_state["changes"]
    assert changes == {"student.training.pair_identities": 2, "student.training.pair_images": 3}
    assert changed(load_preset("tiny"), changes).student.training.general_rows == 12 - 2 * 3
    app.number_input(key="k:student.training.pair_identities").set_value(0).run()
    assert not app.exception
    assert app.session_state["changes"] == {}


def test_students_of_one_method_have_training_settings_of_their_own() -> None:
    app = opened("tiny")
    assert keys(app, "grid.training.") == set()
    app.multiselect(key="k:grid.training").set_value(["eaf_kd"]).run()
    assert app.session_state["changes"] == {}
    app.number_input(key="k:grid.training.eaf_kd.pair_identities").set_value(2).run()
    assert {"eaf_kd.pair_images", "eaf_kd.epochs"} <= keys(app, "grid.training.")
    changes = app.session_state["changes"]
    assert changes == {"grid.training.eaf_kd.pair_identities": 2}
    found = changed(load_preset("tiny"), changes)
    assert training_in_grid(found.grid, found.student.training, "eaf_kd").pair_identities == 2
    assert found.student.training.pair_identities == 0
    app.multiselect(key="k:grid.training").set_value([]).run()
    assert app.session_state["changes"] == {}


def test_training_settings_go_with_the_students_that_had_them() -> None:
    app = opened("all_methods_demo")
    assert {"ekd.pair_identities", "ekd.pair_images"} <= keys(app, "grid.training.")
    assert app.number_input(key="k:grid.training.ekd.batch_size").value == 64
    app.multiselect(key="k:grid.relatives").set_value(["rkd"]).run()
    assert not app.exception
    changes = app.session_state["changes"]
    assert changes == {"grid.training": {}, "grid.relatives": ("rkd",)}
    assert changed(load_preset("all_methods_demo"), changes).grid.training == {}


def test_only_settings_of_adaptors_that_are_chosen_are_shown() -> None:
    app = opened("tiny")  # its common space is SL
    assert keys(app, "adaptor.adaptor.") == {"name", "embedding_dim"}  # the Launch page leaves the name out
    app.multiselect(key="k:adaptors").set_value(["sl", "dldpo"]).run()
    assert keys(app, "adaptor.adaptor.") == {"name", "embedding_dim", "hidden_dim", "dropout"}
    app.number_input(key="k:adaptor.adaptor.dropout").set_value(0.4).run()
    assert app.session_state["changes"]["adaptor.adaptor.dropout"] == 0.4
    app.multiselect(key="k:adaptors").set_value(["sl"]).run()
    assert not app.exception
    assert app.session_state["changes"] == {}


def _used_page() -> None:
    import streamlit as st

    from fairlab.presets import load_preset
    from fairlab.settings.study import changed
    from fairlab.ui.frame.forms import study_form

    used = {
        "grid.relatives": ("hinton_kd",),
        "student.distillation.hinton_kd.temperature": 3.0,
        "grid.losses": ("adaface",),
        "grid.loss.adaface.margin_cos": 0.3,
    }
    study = changed(load_preset("tiny"), used)
    st.session_state["changes"] = changes = study_form(study, "k")
    st.session_state["study"] = changed(study, changes)


def test_settings_go_with_the_method_and_the_loss_that_had_them() -> None:
    """Of a study that is cloned: without the method its temperature would be refused, and no widget could end it."""
    app = AppTest.from_function(_used_page, default_timeout=30).run()
    assert app.session_state["changes"] == {}
    app.multiselect(key="k:grid.relatives").set_value([])
    app.multiselect(key="k:grid.losses").set_value([]).run()
    assert not app.exception
    found = app.session_state["study"]
    assert found.student.distillation.hinton_kd.temperature == 4.0
    assert found.grid.loss == {}
