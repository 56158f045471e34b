"""A study as one row per model: seeds put together, paired by number, and never mixed up."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from fairlab.compare.compare import compare, default_dataset
from fairlab.compare.model_rows import by_title
from fairlab.errors import FairLabError
from fairlab.files import write_json
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Run
from fairlab.store.results import read_results
from fairlab.store.runs import RunRecord, create_run, read_run, write_status
from fairlab.store.studies import read_study, studies
from fairlab.tables import ALL_GROUPS
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home

PLAIN = "Student without KD"


def again(lab: Workspace, record: RunRecord, seed: int, of: RunRecord | None = None) -> RunRecord:
    """The same model as if trained with another seed; its results are those of `of`."""
    config = record.config.model_copy(update={"seed": seed})
    made = single(lab, record.title, config, record.parents, record.preset, record.study)
    create_run(lab, made)
    shutil.copytree((of or record).folder / "results", made.folder / "results")
    write_status(made.folder, "done", reason="", train_s=30.0)
    return made


@pytest.fixture(scope="module")
def seeded(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The tiny study with a second seed of two models: the plain student again with a teacher's results."""
    home = tmp_path_factory.mktemp("seeded") / "home"
    copied_home(tiny.home, home)
    lab = open_workspace(home)
    study = str(studies(lab)["study_id"].iloc[0])
    runs = [read_run(lab, name) for name in read_study(lab, study).run_ids]
    plain = next(run for run in runs if run.title == PLAIN)
    teacher = next(run for run in runs if run.role == "teacher")
    kd = next(run for run in runs if run.role == "student" and run.title != PLAIN)
    made = [again(lab, plain, 1, teacher), again(lab, kd, 1)]
    path = lab.study(study) / "study.json"
    raw = json.loads(path.read_text())
    write_json(path, {**raw, "run_ids": [*raw["run_ids"], *(run.run_id for run in made)]})
    return lab, study


def test_a_model_is_one_row_over_its_seeds(seeded: tuple[Workspace, str]) -> None:
    """The mean of the two runs' stored accuracies, wider intervals, both runs named; the others stay with one seed."""
    lab, study = seeded
    table = compare(lab, study).set_index("model")
    assert len(table) == 6
    row, one = table.loc[PLAIN], compare(lab, study, seed=0).set_index("model").loc[PLAIN]
    assert (row["runs"], row["seeds"]) == (2, "0, 1")
    assert table.loc["Teacher Group A", "seeds"] == "0"
    names = row["run_ids"].split(", ")
    assert names[0] == row["run_id"] == one["run_id"]
    faces = default_dataset(lab, study)
    for group in ("Group A", "Group B"):
        stored = [
            read_results(lab.run(name), faces, "metrics")
            .set_index(["protocol", "metric", "group"])
            .loc[("test", "accuracy", group), "value"]
            for name in names
        ]
        assert row[f"accuracy:{group}"] == pytest.approx(100 * np.mean(stored))
    groups = [row[f"accuracy:{group}"] for group in ("Group A", "Group B")]
    assert row["mean"] == pytest.approx(np.mean(groups))
    assert row["std"] == pytest.approx(np.std(groups, ddof=1))
    assert row["worst"] == pytest.approx(min(groups))
    assert row["ser"] == pytest.approx((100 - min(groups)) / (100 - max(groups)))
    assert row["mean_high"] - row["mean_low"] > one["mean_high"] - one["mean_low"]
    assert row["all_cpu_s"] == pytest.approx(30.0 + one["cpu_s"])


def test_one_seed_of_a_study_has_the_numbers_that_the_run_stored(seeded: tuple[Workspace, str]) -> None:
    lab, study = seeded
    table = compare(lab, study, seed=0)
    assert set(table["seeds"]) == {"0"}
    for row in table.to_dict("records"):
        stored = read_results(lab.run(row["run_id"]), default_dataset(lab, study), "metrics")
        stored = stored[(stored["protocol"] == "test") & (stored["group"] == ALL_GROUPS)].set_index("metric")
        for name, metric, factor in (("mean", "mean_accuracy", 100), ("std", "std_points", 1), ("ser", "ser", 1)):
            expected = stored.loc[[metric]].iloc[0]
            assert row[name] == pytest.approx(factor * expected["value"], nan_ok=True)
            assert row[f"{name}_low"] == pytest.approx(factor * expected["low"], rel=1e-5, nan_ok=True)
        assert row["std_fair_p95"] == pytest.approx(stored.loc["std_points_fair_p95", "value"])
    assert set(compare(lab, study, seed=1)["model"]) == {PLAIN, "Student EAF-KD (SL, specialised)"}
    with pytest.raises(FairLabError, match="no model here was trained with seed 5; there are: 0, 1"):
        compare(lab, study, seed=5)


def test_differences_are_paired_by_seed(seeded: tuple[Workspace, str]) -> None:
    """A teacher has seed 0 only: against the plain student's seed 0; against oneself there is none."""
    lab, study = seeded
    table, one = (compare(lab, study, seed=seed).set_index("model") for seed in (None, 0))
    assert table.loc["Teacher Group A", "paired_seeds"] == 1
    for name in ("difference", "difference_low", "difference_high", "p"):
        assert table.loc["Teacher Group A", name] == pytest.approx(one.loc["Teacher Group A", name])
    kd = table.loc["Student EAF-KD (SL, specialised)"]
    assert kd["paired_seeds"] == 2
    assert kd["difference"] == pytest.approx(kd["mean"] - table.loc[PLAIN, "mean"])
    assert np.isnan(table.loc[PLAIN, "p"])


def test_a_baseline_is_a_title_or_any_of_its_runs(seeded: tuple[Workspace, str]) -> None:
    lab, study = seeded
    by_name = compare(lab, study, "Teacher Group A")
    assert set(by_name["baseline"]) == {by_name.set_index("model").loc["Teacher Group A", "run_id"]}
    second = compare(lab, study).set_index("model").loc[PLAIN, "run_ids"].split(", ")[1]
    assert set(compare(lab, study, second)["baseline"]) == set(compare(lab, study)["baseline"])
    with pytest.raises(FairLabError, match="'nobody' is not a finished model with numbers on demo-"):
        compare(lab, study, "nobody")


def test_two_runs_of_one_title_and_seed_are_two_models(lab: Workspace) -> None:
    """As when somebody repeats a student with another setting: never averaged silently."""
    runs = [
        single(lab, "S", Run(role="student", method=method, seed=seed, data=Data(dataset=name)), ())
        for seed in (0, 1)
        for method, name in (("classifier", "d"), ("classifier", "e"), ("a_kd", "d"))
    ]
    found = by_title(runs)
    assert [sorted(model.runs) for model in found] == [[0, 1]] * 3
    assert [{run.dataset for run in model.runs.values()} for model in found] == [{"d"}, {"e"}, {"d"}]


def test_the_command_prints_what_is_asked_for(seeded: tuple[Workspace, str]) -> None:
    lab, study = seeded
    shown = command(lab.home, "compare", study).stdout
    assert "Student without KD" in shown
    assert "1 to 2 seeds (see the column)" in " ".join(shown.split())
    latex = command(lab.home, "compare", study, "--format", "latex", "--seed", "1").stdout
    assert latex.count(" \\\\\n") == 3
    wrong = command(lab.home, "compare", "--seed", "7")
    said = "fairlab: no model here was trained with seed 7; there are: 0, 1\n"
    assert (wrong.returncode, wrong.stderr) == (2, said)


def test_the_page_shows_the_mean_of_seeds_or_one_of_them(
    seeded: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caption says how many seeds stand behind the numbers; a filter that nothing passes is no error."""
    from tests.test_pages import fine, opened

    lab, study = seeded
    app = opened(monkeypatch, lab, "compare", study=study)
    fine(app)
    assert app.selectbox(key="seed").options == ["mean of 2 seeds", "seed 0", "seed 1"]

    def said() -> str:
        return " ".join(item.value for item in app.caption).replace("\\", "")

    assert "Means of 1 to 2 seeds" in said()
    assert "No published numbers exist for this data set" in said()
    assert [item.label for item in app.expander] == ["Published numbers"]
    saved = ["CSV", "LaTeX", "Markdown", "Chart as HTML", "Numbers as CSV"]  # the last two: of the front
    assert [button.label for button in app.get("download_button")] == saved
    app.selectbox(key="seed").select_index(2).run()
    fine(app)
    assert "One seed: 95 % intervals over people alone" in said()
    assert app.selectbox(key="base").options == ["Student EAF-KD (SL, specialised)", PLAIN]
    app.text_input(key="compare words").set_value("nobody").run()
    fine(app)
    assert "At a glance" not in [item.value for item in app.subheader]
    app = opened(monkeypatch, lab, "compare", study=study, seed="1", base=PLAIN, roles="student")
    fine(app)
    assert not app.warning
