"""Settings that a study varies: a column for each, and the numbers along one, from the study's own record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fairlab.compare.compare import compare
from fairlab.compare.exports import as_csv, as_latex, as_markdown
from fairlab.compare.varied import along, axes_of, headings, numeric, shown, with_varied
from fairlab.errors import FairLabError
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.study import changed
from fairlab.store.records import VariedFile
from fairlab.store.studies import StudyInfo, read_study
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.in_process import carry_out_all

EPOCHS, BACKBONE = "student.training.epochs", "teacher.backbone.name"


@pytest.fixture(scope="module")
def varied(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The tiny study with two lengths of training of its students, trained for real; teachers are those of `tiny`."""
    copied_home(tiny.home, tmp_path_factory.mktemp("varied") / "home")
    lab = open_workspace(tmp_path_factory.getbasetemp() / "varied0" / "home")
    vary = {EPOCHS: [1, 2]}
    study = changed(
        load_preset("tiny"),
        {"grid.vary": vary, "grid.maps": "none", "student.training.drop_epochs": (), "plain_student": True},
    )
    plan = expand(study, "tiny", lab)
    assert [run.record.title for run in plan.new] == [
        f"Student {kind} {epochs})"
        for epochs in (1, 2)
        for kind in ("EAF-KD (SL, specialised; epochs", "without KD (epochs")
    ]
    carry_out_all(lab, plan)
    return lab, plan.study_id


def test_a_varied_setting_has_a_column_where_models_hang_on_it(varied: tuple[Workspace, str]) -> None:
    lab, study = varied
    table = compare(lab, study).set_index("model")
    assert axes_of(table) == [EPOCHS]
    assert headings(table) == {f"varied:{EPOCHS}": "epochs"}
    column = table[f"varied:{EPOCHS}"]
    assert column.dtype == "float64"
    assert {name: value for name, value in column.items() if value == value} == {
        f"Student {kind} {epochs})": float(epochs)
        for epochs in (1, 2)
        for kind in ("EAF-KD (SL, specialised; epochs", "without KD (epochs")
    }
    assert set(column[column.isna()].index) == {
        "Teacher Group A", "Teacher Group B", "Concatenation (specialised)", "Common space (SL, specialised)",
    }  # fmt: skip


def test_the_numbers_along_a_setting_are_those_of_the_table(varied: tuple[Workspace, str]) -> None:
    lab, study = varied
    table = compare(lab, study).set_index("run_id")
    part = along(table.reset_index(), EPOCHS)
    assert part["line"].tolist() == [*["Student EAF-KD (SL, specialised)"] * 2, *["Student without KD"] * 2]
    assert part["value"].tolist() == [1.0, 2.0] * 2
    for row in part.to_dict("records"):
        for name in ("mean", "mean_low", "mean_high", "std", "ser_high", "worst"):
            assert row[name] == pytest.approx(table.loc[row["run_id"], name], nan_ok=True)


def test_a_study_without_axes_has_no_such_column(tiny: Workspace) -> None:
    study = next(path.name for path in tiny.studies_folder.glob("tiny-*"))
    table = compare(tiny, study)
    assert axes_of(table) == []
    assert "like" not in table
    with pytest.raises(FairLabError, match=r"the study does not vary 'x'; it varies none \(grid.vary\)"):
        along(table, "x")


def test_an_unknown_axis_is_told_with_the_nearest(varied: tuple[Workspace, str]) -> None:
    lab, study = varied
    with pytest.raises(FairLabError) as refusal:
        along(compare(lab, study), "student.training.epoch")
    assert str(refusal.value) == (
        f"the study does not vary 'student.training.epoch'; it varies: {EPOCHS} (did you mean '{EPOCHS}'?)"
    )


def test_exports_have_the_column(varied: tuple[Workspace, str]) -> None:
    lab, study = varied
    table = compare(lab, study)
    assert as_markdown(table, "").splitlines()[0].startswith("| Model | epochs | Seeds |")
    assert any("epochs 2) & 2 & 1 &" in line for line in as_latex(table, "").splitlines())
    assert f"varied:{EPOCHS}" in as_csv(table).splitlines()[0]


def test_the_command_and_the_lab_show_the_same(varied: tuple[Workspace, str]) -> None:
    from fairlab import Lab

    lab, study = varied
    shown_ = command(lab.home, "compare", study, "--along", EPOCHS)
    assert shown_.returncode == 0, shown_.stderr
    assert shown_.stdout.count("Student without KD") == 2
    table = Lab(lab.home).studies[study].along(EPOCHS)
    printed = command(lab.home, "compare", study, "--along", EPOCHS, "--format", "csv").stdout
    assert printed == as_csv(table)
    wrong = command(lab.home, "compare", study, "--along", "epochs", "--front", "std")
    assert (wrong.returncode, wrong.stderr) == (2, "fairlab: --along and --front are two tables: give one of them\n")
    assert "does not vary 'epochs'" in command(lab.home, "compare", study, "--along", "epochs").stderr


def test_names_stay_in_the_order_of_the_study_and_lines_tell_the_other_axes() -> None:
    """A table as compare makes it, with two axes: names of networks, and a number."""
    study = changed(
        load_preset("tiny"), {"grid.vary": {BACKBONE: ["tiny", "iresnet18"], "student.loss.margin_rad": [0.5, 0.1]}}
    )
    runs = {
        f"r{number}": VariedFile(like="Student", values={BACKBONE: backbone, "student.loss.margin_rad": margin})
        for number, (backbone, margin) in enumerate(
            (backbone, margin) for backbone in ("tiny", "iresnet18") for margin in (0.5, 0.1)
        )
    }
    info = StudyInfo("s", "S", "tiny", "", tuple(runs), study, runs)
    numbers = {f"{name}{end}": 1.0 for name in ("mean", "std", "ser", "worst") for end in ("", "_low", "_high")}
    rows = [{"run_id": name, "model": name, "runs": 1, **numbers} for name in [*runs, "other"]]
    table = with_varied(pd.DataFrame(rows), info)
    assert table["like"].tolist() == ["Student"] * 4 + ["other"]
    assert not numeric(table, BACKBONE)
    assert [shown(value) for value in table[f"varied:{BACKBONE}"]] == ["tiny", "tiny", "iresnet18", "iresnet18", ""]
    by_name = along(table, BACKBONE)
    assert by_name[["line", "value"]].to_numpy().tolist() == [
        ["Student; margin_rad 0.5", "tiny"],
        ["Student; margin_rad 0.5", "iresnet18"],
        ["Student; margin_rad 0.1", "tiny"],
        ["Student; margin_rad 0.1", "iresnet18"],
    ]
    by_number = along(table, "student.loss.margin_rad")
    assert by_number[["line", "value"]].to_numpy().tolist() == [
        ["Student; teacher backbone tiny", 0.1],
        ["Student; teacher backbone tiny", 0.5],
        ["Student; teacher backbone iresnet18", 0.1],
        ["Student; teacher backbone iresnet18", 0.5],
    ]


def test_the_study_file_keeps_what_runs_hang_on(lab: Workspace, tmp_path: Path) -> None:
    """Also lists of numbers and claims, as settings have them."""
    from fairlab.queue.launch import write_study

    vary = {"student.training.drop_epochs": [[1, 2], [3]], "student.training.flip": [True, False]}
    plan = expand(changed(load_preset("tiny"), {"grid.vary": vary}), "tiny", lab)
    write_study(lab, plan)
    kept = read_study(lab, plan.study_id)
    assert {name: (known.like, dict(known.values)) for name, known in kept.varied.items()} == {
        run.record.run_id: (run.like, dict(run.varied)) for run in plan.runs if run.varied
    }
    assert kept.config == plan.study
