"""Charts beside the table: along a varied setting, and the front of accuracy against unfairness."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _page(varied: bool) -> None:
    import numpy as np
    import pandas as pd

    from fairlab.ui.compare import charts
    from fairlab.ui.frame import choices

    choices.begin("compare")
    rows = []
    for number, value in enumerate([1.0, 10.0, np.nan]):
        row = {"run_id": f"r{number}", "model": f"M{number}", "runs": 1, "baseline": "r2", "like": "M"}
        for name, middle in (("mean", 90 + number), ("std", 3.0), ("ser", np.nan if number else 1.5), ("worst", 80.0)):
            row |= {name: middle, f"{name}_low": middle - 1, f"{name}_high": middle + 1}
        rows.append({**row, "varied:student.loss.margin_rad": value} if varied else row)
    table = pd.DataFrame(rows)
    charts.along_settings(table, table)
    charts.front(table)


def _two_axes() -> None:
    import pandas as pd

    from fairlab.ui.compare import charts
    from fairlab.ui.frame import choices

    choices.begin("compare")
    rows = []
    for number, (margin, loss) in enumerate([(0.1, "arcface"), (0.3, "arcface"), (0.1, "cosface"), (0.3, "cosface")]):
        row = {"run_id": f"r{number}", "model": f"M{number}", "runs": 1, "baseline": "r0", "like": "M"}
        for name in ("mean", "std", "ser", "worst"):
            row |= {name: 5.0 + number, f"{name}_low": 4.0 + number, f"{name}_high": 6.0 + number}
        rows.append({**row, "varied:student.loss.margin_rad": margin, "varied:student.loss.name": loss})
    table = pd.DataFrame(rows)
    charts.along_settings(table, table)


def opened(varied: bool) -> AppTest:
    app = AppTest.from_function(_page, kwargs={"varied": varied}, default_timeout=30).run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return " ".join(item.value for item in app.caption).replace("\\", "")


def test_a_study_without_axes_has_the_front_alone() -> None:
    app = opened(varied=False)
    assert [item.value for item in app.subheader] == ["Accuracy against unfairness"]
    assert len(app.get("plotly_chart")) == 1
    assert "On the front of 3 models: M2." in words(app)
    assert "One seed" in words(app)


def test_a_varied_setting_has_a_chart_for_accuracy_and_each_measure() -> None:
    app = opened(varied=True)
    assert [item.value for item in app.subheader] == ["Along a setting", "Accuracy against unfairness"]
    assert app.selectbox(key="along").options == ["margin_rad"]
    assert len(app.get("plotly_chart")) == 4 + 1


def test_a_model_without_the_measure_is_named_not_drawn_as_fair() -> None:
    app = opened(varied=False)
    app.selectbox(key="unfairness").select_index(1).run()
    assert not app.exception
    assert "On the front of 1 model: M0." in words(app)
    assert "Left out, because the measure is not defined for them: M1; M2." in words(app)


def test_several_varied_settings_are_small_multiples() -> None:
    app = AppTest.from_function(_two_axes, default_timeout=30).run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1 + 4
    assert "all panels have the same scale" in words(app)
