"""Axes of a study in the form: pick a setting, give its values; what the form gives back is what the settings take."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from fairlab.cli.arguments import dials as read_dials
from fairlab.cli.main import main
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.ui.launch.axes import written
from fairlab.workspace import Workspace
from tests.test_pages import fine
from tests.test_pages import opened as page

WEIGHT = "student.distillation.eaf_kd.kd_weight"


def _page(vary: dict[str, list[object]]) -> None:
    import streamlit as st

    from fairlab.presets import load_preset
    from fairlab.settings.study import changed
    from fairlab.ui.launch.axes import choose_axes

    st.session_state["dials"] = choose_axes(changed(load_preset("tiny"), {"grid.vary": vary}), {}, "k")


def opened(vary: dict[str, list[object]]) -> AppTest:
    return AppTest.from_function(_page, kwargs={"vary": vary}, default_timeout=30).run()


@pytest.mark.parametrize("vary", [{}, {WEIGHT: [1, 10.5], "student.backbone.name": ["tiny", "vit_t"]}])
def test_an_untouched_form_changes_nothing(vary: dict[str, list[object]]) -> None:
    app = opened(vary)
    assert not app.exception
    assert app.session_state["dials"] == {}
    assert app.multiselect[0].value == list(vary)


def test_a_picked_setting_begins_with_its_value_and_takes_others() -> None:
    app = opened({})
    app.multiselect(key="k:vary").set_value([WEIGHT, "student.training.drop_epochs"]).run()
    assert app.text_input(key=f"k:vary:{WEIGHT}").value == "10000.0"
    app.text_input(key=f"k:vary:{WEIGHT}").set_value("1, 10").run()
    app.text_input(key="k:vary:student.training.drop_epochs").set_value("[2, 3], [1]").run()
    assert app.session_state["dials"] == {"grid.vary": {WEIGHT: [1, 10], "student.training.drop_epochs": [[2, 3], [1]]}}
    changed(load_preset("tiny"), app.session_state["dials"])


def test_an_axis_of_the_preset_can_be_left_out() -> None:
    app = opened({WEIGHT: [1, 10]})
    app.multiselect(key="k:vary").set_value([]).run()
    assert app.session_state["dials"] == {"grid.vary": {}}


def test_the_page_plans_the_axes_and_says_the_command(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    monkeypatch.setattr("fairlab.ui.launch.plans.request_probe", lambda *_: None)
    app = page(monkeypatch, lab, "launch", preset="tiny")
    app.multiselect(key="tiny::vary").set_value([WEIGHT]).run()
    assert "needs two values or more" in app.error[0].value
    assert "start" not in [button.key for button in app.button]
    app.text_input(key=f"tiny::vary:{WEIGHT}").set_value("1, 10, 100").run()
    fine(app)
    assert app.code[0].value == f"fairlab launch tiny --vary '{WEIGHT}=1, 10, 100'"


@pytest.mark.parametrize("values", [[1, 10.5], ["tiny", "vit_t"], [True, False], [[2, 4], [3]], [0.1, 0.25, 1e-5]])
def test_what_the_form_writes_the_command_line_reads(values: list[object], lab: Workspace) -> None:
    import argparse

    options = argparse.Namespace(set=[], vary=[f"x.y={written(values)}"])
    assert read_dials(options) == {"grid.vary": {"x.y": values}}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--vary", WEIGHT], "write SETTING=VALUE,VALUE"),
        (["--vary", f"{WEIGHT}=1,2", "--vary", f"{WEIGHT}=3,4"], "is given twice"),
        (["--vary", f"{WEIGHT}=1"], "needs two values or more"),
        (["--vary", "student.distillation.kd_weight=1,2"], f"did you mean '{WEIGHT}'?"),
        (["--vary", f"{WEIGHT}=1,-2"], "greater than or equal to 0"),
    ],
)
def test_a_wrong_axis_on_the_command_line_is_one_sentence(
    lab: Workspace, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(lab.home), "launch", "tiny", "--dry-run", *words]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1
    assert not list(lab.studies_folder.glob("*"))
