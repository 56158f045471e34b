"""The authors' folder tree with small networks, written here: imported by command and page, judged on RFW's lists, compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.jobs.models.study_folders import planned, report_of
from fairlab.jobs.models.study_names import read_names
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone, StudyFolder
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import read_run, read_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.data.trees import RACES, rfw
from tests.in_process import work_here
from tests.test_pages import fine, opened

DIM, PX = 6, 32
BLOCKS = ("Asian", "African", "Caucasian", "Indian")
NET = "mobilefacenet"
TAIL = "lr_1_ep_26/fusion"
TITLES = [
    *(f"Teacher {race} (specialised, {NET})" for race in RACES),
    *(f"Common space ({kind}, specialised, {NET})" for kind in ("DLDPO", "SL")),
    f"Student EAF-KD (SL, specialised, {NET})",
    f"Student a-KD (DLDPO, specialised, {NET})",
]


def network(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    found = BACKBONES[NET](Backbone(name=NET, embedding_dim=DIM), PX)
    with torch.no_grad():
        for _ in range(2):
            found(torch.randn(8, 3, PX, PX))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(found.state_dict(), path)


def adaptor(path: Path, seed: int, blocks: int = 4) -> None:
    draws = torch.Generator().manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = blocks * DIM
    if "dual" in str(path.parent):
        shapes = {"fc1.weight": (DIM, columns), "fc1.bias": (DIM,), "fc2.weight": (DIM, DIM), "fc2.bias": (DIM,)}
    else:
        shapes = {"fc.weight": (DIM, columns), "fc.bias": (DIM,)}
    torch.save({key: torch.randn(shape, generator=draws) for key, shape in shapes.items()}, path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("official") / "MST-KD"
    for number, race in enumerate(RACES):
        network(root / race / NET / "epochs_52" / f"{1000 + number}backbone.pth", number)
    network(root / "African" / NET / "epochs_52" / "500backbone.pth", 20)
    torch.save({"kernel": torch.randn(DIM, 11)}, root / "African" / NET / "epochs_52" / "1000header.pth")
    torch.save({"kernel": torch.randn(DIM, 11)}, root / "African" / NET / "epochs_52" / "500header.pth")
    adaptor(root / "EArcAdapter" / NET / TAIL / "9757backbone.pth", 30)
    adaptor(root / "EArcAdapter" / "dropout_dual_layer_6" / NET / TAIL / "9757backbone.pth", 31)
    network(root / "KD" / "EArc" / NET / TAIL / "19514backbone.pth", 40)
    network(root / "KD" / "no_CEL" / "EArc" / "dropout_dual_layer_6" / NET / TAIL / "9757backbone.pth", 41)
    (root / "African" / NET / "log.txt").write_text("loss 3.2\n")
    return root


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each import tries its network on generated faces; how well is another test's."""
    monkeypatch.setattr("fairlab.training.trial.SECONDS", 0.1)


@pytest.fixture
def tree(written: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(written, tmp_path / "MST-KD"))


def with_test_set(lab: Workspace, tmp_path: Path) -> str:
    result = command(
        lab.home, "data", "add", str(rfw(tmp_path / "rfw", px=112)), "--name", "rfw", "--set", f"image_px={PX}"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return "rfw"


def test_the_folders_say_who_is_whose(written: Path) -> None:
    report = report_of(StudyFolder(path=str(written)))
    assert [row["title"] for row in report["models"]] == TITLES
    rows = {row["title"]: row for row in report["models"]}
    for title in TITLES[4:6]:
        assert rows[title]["parents"] == [f"Teacher {group} (specialised, {NET})" for group in BLOCKS]
    assert (rows[TITLES[6]]["method"], rows[TITLES[6]]["parents"]) == ("eaf_kd", [TITLES[5]])
    assert (rows[TITLES[7]]["method"], rows[TITLES[7]]["parents"]) == ("a_kd", [TITLES[4]])
    assert (rows[TITLES[4]]["adaptor"], rows[TITLES[5]]["adaptor"]) == ("dldpo", "sl")
    african = rows[TITLES[0]]
    assert (african["step"], african["steps"], african["why"]) == (1000, [500, 1000], "the last of 2 steps")
    assert african["head"].endswith("1000header.pth")
    assert african["classes"] == 11
    assert any("is_dual_leaky" in note for note in rows[TITLES[4]]["notes"])


NAMED = [TITLES[number] for number in (0, 1, 2, 3, 5, 6)]
"""What the tests of the whole way import: four teachers, one adaptor, one student."""


@dataclass(frozen=True)
class Whole:
    """A workspace in which the command has imported a folder, and what it printed."""

    home: Path
    folder: Path
    looked: str
    printed: str


@pytest.fixture(scope="module")
def whole(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Imported once, in this process; do not change it: copy it."""
    base = tmp_path_factory.mktemp("whole")
    folder = Path(shutil.copytree(written, base / "MST-KD"))
    for rest in ("KD/no_CEL", "EArcAdapter/dropout_dual_layer_6"):
        shutil.rmtree(folder / rest)
    lab = open_workspace(base / "home")
    with pytest.MonkeyPatch.context() as mine:
        work_here(mine)
        mine.setattr("fairlab.training.trial.SECONDS", 0.1)
        data = with_test_set(lab, base)
        looked = command(lab.home, "studies", "import", str(folder), "--dry-run")
        assert looked.returncode == 0, looked.stderr
        assert set(list_runs(lab)["role"]) == {"dataset"}
        result = command(lab.home, "studies", "import", str(folder), "--data", data, "--name", "The paper")
        assert result.returncode == 0, result.stdout + result.stderr
    return Whole(lab.home, folder, looked.stdout, result.stdout)


@pytest.fixture
def copy(whole: Whole, tmp_path: Path) -> Workspace:
    return open_workspace(copied_home(whole.home, tmp_path / "copy"))


def test_the_command_imports_judges_and_compares(whole: Whole, copy: Workspace) -> None:
    assert "the last of 2 steps" in whole.looked
    (study_id,) = Lab(copy).studies.table()["study_id"]
    study = Lab(copy).studies[study_id]
    table = study.compare()
    assert table["model"].tolist() == NAMED
    assert table["role"].tolist() == [*["teacher"] * 4, "adaptor", "student"]
    assert table["method"].tolist() == [*["classifier"] * 4, "common_space", "eaf_kd"]
    assert table["backbone"].tolist() == [*[NET] * 4, "", NET]
    assert {f"accuracy:{race}" for race in RACES} <= set(table)
    assert table["mean"].between(0, 100).all()
    for word in (*RACES, "Common space", "STD", "SER"):
        assert word in whole.printed
    space = read_run(copy, table["run_id"].iloc[4])
    titles = [read_run(copy, parent).title for parent in space.parents]
    assert titles == [f"Teacher {group} (specialised, {NET})" for group in BLOCKS]
    assert [read_run(copy, table["run_id"].iloc[n]).config.data.groups for n in range(4)] == [(race,) for race in RACES]
    assert study.progress().counts == {"done": 12}
    assert study.outlook() == "12 of 12 done"
    printed = command(copy.home, "compare", study_id, "--json")
    assert [row["model"] for row in json.loads(printed.stdout)] == NAMED


def test_the_common_space_is_the_formula_over_the_teachers_in_order(whole: Whole, copy: Workspace) -> None:
    table = list_runs(copy).set_index("title")["run_id"]
    blocks = [
        open_embeddings(copy.run(table[f"Teacher {group} (specialised, {NET})"]), "rfw").vectors for group in BLOCKS
    ]
    found = torch.load(whole.folder / "EArcAdapter" / NET / TAIL / "9757backbone.pth", weights_only=True)
    made = np.concatenate(blocks, axis=1).astype(float) @ found["fc.weight"].double().numpy().T
    made += found["fc.bias"].double().numpy()
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    space = open_embeddings(copy.run(table[TITLES[5]]), "rfw").vectors
    np.testing.assert_allclose(space, made, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("here")
def test_a_repeated_import_does_what_is_left(whole: Whole, copy: Workspace) -> None:
    runs = set(list_runs(copy)["run_id"])
    table = list_runs(copy).set_index("title")["run_id"]
    for title in (f"{TITLES[6]} on rfw", TITLES[6]):
        Lab(copy).runs[table[title]].delete(force=True)
    started = {name: read_status(copy.run(name))["started_at"] for name in list_runs(copy)["run_id"]}
    words = ("--data", "rfw", "--name", "The paper")
    again = command(copy.home, "studies", "import", str(whole.folder), *words)
    assert again.returncode == 0, again.stderr
    assert set(list_runs(copy)["run_id"]) == runs
    assert {name: read_status(copy.run(name))["started_at"] for name in started} == started
    assert len(started) == len(runs) - 2


@pytest.mark.usefixtures("here")
def test_the_page_inspects_imports_and_compare_has_the_rows(
    whole: Whole, copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command has imported is not imported again: the study of another name has the same models."""
    app = opened(monkeypatch, copy, "models")
    app.text_input(key="folder_path").set_value(str(whole.folder)).run()
    app.button(key="folder look").click().run()
    fine(app)
    shown = [str(name).replace("\\", "") for item in app.table for name in item.value["Model"]]
    assert [name for name in shown if name in NAMED] == NAMED
    table = list_runs(copy).set_index("title")["run_id"]
    Lab(copy).runs[table[f"{TITLES[5]} on rfw"]].delete(force=True)
    app.text_input(key="folder_name").set_value("From the page").run()
    app.button(key="folder import").click().run()
    fine(app)
    assert any("From the page is imported: 12 of 12 done" in item.value for item in app.success)
    studies = Lab(copy).studies.table().set_index("title")["study_id"]
    study_id = studies["From the page"]
    assert Lab(copy).studies[study_id].compare()["model"].tolist() == NAMED
    for page in ("compare", "runs", "home"):
        fine(opened(monkeypatch, copy, page, study=study_id))


def refusals(tree: Path) -> str:
    with pytest.raises(FairLabError) as error:
        report_of(StudyFolder(path=str(tree)))
    return str(error.value)


def test_a_missing_teacher_is_named_with_its_place(tree: Path) -> None:
    shutil.rmtree(tree / "Indian")
    said = refusals(tree)
    assert "there is none of Indian" in said
    assert f"Indian/{NET}/epochs_52/<step>backbone.pth" in said


def test_an_unknown_folder_is_named(tree: Path) -> None:
    network(tree / "Martian" / NET / "epochs_52" / "9backbone.pth", 50)
    assert "Martian/mobilefacenet/epochs_52 is not a folder of MST-KD's tree" in refusals(tree)


def test_two_candidates_are_named(tree: Path) -> None:
    shutil.copytree(tree / "Asian" / NET / "epochs_52", tree / "Asian" / NET / "epochs_26")
    said = refusals(tree)
    assert f"Asian/{NET}/epochs_26" in said
    assert f"Asian/{NET}/epochs_52" in said
    assert "leave one of them" in said


def test_one_step_twice_is_named(tree: Path) -> None:
    place = tree / "Asian" / NET / "epochs_52"
    shutil.copy(place / "1001backbone.pth", place / "1001backbone.pt")
    assert "are one step; leave one of them" in refusals(tree)


def test_what_is_not_there_or_does_not_fit(tree: Path, tmp_path: Path) -> None:
    assert "there is no folder" in refusals(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "holds no <step>backbone.pth" in refusals(tmp_path / "empty")
    adaptor(tree / "EArcAdapter" / NET / TAIL / "9757backbone.pth", 30, blocks=3)
    assert "it does not fit 4 parents of 6, 6, 6, 6 dims" in refusals(tree)
    network(tree / "EArcAdapter" / NET / TAIL / "9757backbone.pth", 30)
    assert "is not an adaptor of MST-KD" in refusals(tree)


@pytest.mark.usefixtures("here")
def test_nothing_is_registered_where_something_does_not_fit(lab: Workspace, tree: Path, tmp_path: Path) -> None:
    words = ("studies", "import", str(tree))
    assert "name the data set with pairs" in command(lab.home, *words).stderr
    assert "nothing" in command(lab.home, *words, "--data", "nothing").stderr
    with_test_set(lab, tmp_path)
    before = set(list_runs(lab)["run_id"])
    adaptor(tree / "EArcAdapter" / NET / TAIL / "9757backbone.pth", 30, blocks=3)
    result = command(lab.home, *words, "--data", "rfw")
    assert result.returncode != 0
    assert "it does not fit 4 parents" in result.stderr
    assert set(list_runs(lab)["run_id"]) == before
    assert Lab(lab).studies.table().empty


def named(root: Path, **files: int) -> Path:
    for folder, step in files.items():
        path = root / folder.replace("__", "/") / f"{step}backbone.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_the_step_of_the_official_configuration_goes_before_the_last(tmp_path: Path) -> None:
    """METHODS.md 1.6: iResNet-34, African: pass 16 of 2,532 steps; chosen on the RFW test sets, which is kept."""
    root = named(tmp_path, African__iresnet34__epochs_52=16 * 2532)
    named(root, African__iresnet34__epochs_52=52 * 2532)
    (one,) = read_names(StudyFolder(path=str(root)))
    assert (one.step, one.why, one.chosen_on) == (40_512, "the step of the official configuration", "RFW test")
    (last,) = read_names(StudyFolder(path=str(root), step="last"))
    assert (last.step, last.why, last.chosen_on) == (131_664, "the last of 2 steps", "")
    (root / "African/iresnet34/epochs_52/40512backbone.pth").unlink()
    named(root, African__iresnet34__epochs_52=9)
    (other,) = read_names(StudyFolder(path=str(root)))
    assert (other.step, other.why) == (
        131_664,
        "the last of 2 steps; step 40512 of the official configuration is not there",
    )


def test_balanced_teachers_adaptors_and_students_are_told_from_specialised_ones(tmp_path: Path) -> None:
    root = named(tmp_path, **{f"teacher_baseline__{race}__r34__epochs_52": 5 for race in RACES})
    named(root, **{f"{race}__r34__epochs_52": 5 for race in RACES})
    named(root, EArcAdapter__baseline__dual_layer_512__r34__lr_1_ep_26__fusion=7)
    named(
        root, EArcAdapter__r34__lr_1_ep_26__positioning=7, KD__EArc__baseline__dual_layer_512__r34__lr_1_ep_26__fusion=9
    )
    found = {kept.title: kept for kept in read_names(StudyFolder(path=str(root)))}
    assert [kept.arm for kept in found.values()].count("balanced") == 6
    assert "Common space (DuL, balanced, r34)" in found
    assert "Common space (positioning, specialised, r34)" in found
    assert found["Student EAF-KD (DuL, balanced, r34)"].method == "eaf_kd"


def test_groups_are_data(tmp_path: Path) -> None:
    """Three groups of other names, in an order of the user's."""
    root = named(tmp_path, Red__net__epochs_1=1, Green__net__epochs_1=1, Blue__net__epochs_1=1)
    named(root, EArcAdapter__net__lr_1_ep_26__fusion=2)
    order = ("Blue", "Red", "Green")
    found = read_names(StudyFolder(path=str(root), order=order))
    assert [kept.group for kept in found[:3]] == ["Blue", "Green", "Red"]


def test_a_report_that_is_none_and_a_file_that_is_gone(lab: Workspace) -> None:
    with pytest.raises(FairLabError, match="not a report of a folder"):
        planned(lab, {"kind": "adaptor"}, "rfw")
