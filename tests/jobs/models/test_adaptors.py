"""An adaptor of MST-KD from a file: added by command and page over parents in their order, embedded, judged, distilled from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fairlab.api import Lab
from fairlab.compare.compare import compare
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError, Refused
from fairlab.jobs.models.adaptors import proposed
from fairlab.queue.edit import clone
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.test_pages import fine, opened

DIM = 16
"""Of the preset tiny: two teachers of so many dims."""


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


@pytest.fixture
def sl(tmp_path: Path) -> Path:
    """FC_mapping over the two teachers of the preset tiny."""
    return written(tmp_path / "fusion" / "9757backbone.pth", 2 * DIM)


def written(path: Path, columns: int) -> Path:
    draws = torch.Generator().manual_seed(5)
    path.parent.mkdir(parents=True, exist_ok=True)
    weight, bias = torch.randn(DIM, columns, generator=draws), torch.randn(DIM, generator=draws)
    torch.save({"fc.weight": weight, "fc.bias": bias}, path)
    return path


def weights(path: Path) -> tuple[np.ndarray, np.ndarray]:
    found: dict[str, Tensor] = torch.load(path, weights_only=True)
    return found["fc.weight"].double().numpy(), found["fc.bias"].double().numpy()


def teachers(lab: Workspace) -> list[str]:
    table = list_runs(lab)
    return [str(name) for name in table.loc[table["role"] == "teacher", "run_id"]]


def added(lab: Workspace, path: Path, *words: str) -> str:
    result = command(lab.home, "models", "add", str(path), "--json", *words)
    assert result.returncode == 0, result.stdout + result.stderr
    return str(json.loads(result.stdout)["run_id"])


def refused(lab: Workspace, path: Path, *words: str) -> str:
    """What the command says; nothing is left of it."""
    before = set(list_runs(lab)["run_id"])
    result = command(lab.home, "models", "add", str(path), *words)
    assert result.returncode != 0, result.stdout
    assert set(list_runs(lab)["run_id"]) == before
    return result.stderr


def units(lab: Workspace, run_id: str, data: str, view: str = "plain", raw: bool = False) -> np.ndarray:
    store = open_embeddings(lab.run(run_id), data, view)
    vectors = np.asarray(store.vectors, np.float64)
    return vectors * np.asarray(store.norms, np.float64)[:, None] if raw else vectors


@pytest.mark.usefixtures("here")
def test_a_common_space_from_a_file_is_one_as_trained_ones_are(
    copy: Workspace, sl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = teachers(copy)
    data = next(path.name for path in copy.datasets_folder.iterdir())
    run_id = added(copy, sl, "--parents", second, first, "--name", "Official SL")
    record = read_run(copy, run_id)
    assert (record.role, record.method, record.parents) == ("adaptor", "common_space", (second, first))
    result = command(copy.home, "evaluate", run_id, data, "--json", "--set", "bootstrap=100")
    assert result.returncode == 0, result.stdout + result.stderr
    weight, bias = weights(sl)
    made = {}
    for view in ("plain", "flip"):
        inputs = np.concatenate([units(copy, name, data, view) for name in (second, first)], axis=1)
        made[view] = inputs @ weight.T + bias
        np.testing.assert_allclose(units(copy, run_id, data, view, raw=True), made[view], atol=1e-5, rtol=0)
        unit = made[view] / np.linalg.norm(made[view], axis=1, keepdims=True)
        np.testing.assert_allclose(units(copy, run_id, data, view), unit, atol=1e-6, rtol=0)
    both = made["plain"] + made["flip"]  # as adaptor_test: the raw outputs of image and mirror image, added
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    pairs = open_dataset(copy.dataset(data)).pairs_of("test")
    scores = read_results(copy.run(run_id), data, "scores").set_index("pair_id")["score"].loc[pairs["pair_id"]]
    cosines = (both[pairs["image_a"]] * both[pairs["image_b"]]).sum(1)
    np.testing.assert_allclose(scores.to_numpy(), cosines, atol=1e-6, rtol=0)

    study = str(Lab(copy).studies.table()["study_id"].iloc[0])
    rows = compare(copy, study).set_index("model")
    assert rows.loc["Official SL", ["role", "method", "seeds"]].tolist() == ["adaptor", "common_space", ""]
    assert compare(copy, "", dataset_id=data)["run_id"].tolist() == [run_id]
    with pytest.raises(Refused, match="it came from a file"):
        clone(copy, run_id, {"seed": 3})
    for page, asked in (
        ("runs", "added"),
        ("compare", study),
        ("compare", "added"),
        ("spaces", study),
        ("fairness", "added"),
    ):
        fine(opened(monkeypatch, copy, page, study=asked, model=run_id, right=run_id, on=data, run=run_id))


@pytest.mark.usefixtures("here")
def test_students_learn_from_it_stored_and_online(copy: Workspace, sl: Path) -> None:
    """The stored target and the one computed in the step are one space, so both students end alike but for rounding."""
    run_id = added(copy, sl, "--parents", *teachers(copy))
    study = Lab(copy).studies.table()["study_id"].iloc[0]
    changes = {
        "arms": [], "students": [], "plain_student": False, "adaptors": [], "concatenation": False, "grid.maps": "none",
        "grid.given": [run_id], "grid.relatives": ["a_kd"], "student.training.epochs": 2, "student.training.flip": False,
        "student.training.drop_epochs": [1],
    }  # fmt: skip
    ends = []
    for online in (False, True):
        dials = {**changes, "student.distillation.a_kd.online": online}
        words = [word for name, value in dials.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        result = command(copy.home, "launch", "--clone", str(study), *words)
        assert result.returncode == 0, result.stdout + result.stderr
        table = list_runs(copy)
        (student,) = table.loc[table["method"] == "a_kd", "run_id"].tolist()[-1:]
        assert read_run(copy, student).parents[0] == run_id
        data = read_run(copy, student).dataset
        ends.append((units(copy, student, data) * units(copy, run_id, data)).sum(1).mean())
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


@pytest.mark.usefixtures("here")
def test_raw_blocks_keep_the_parents_lengths(copy: Workspace, sl: Path) -> None:
    names = teachers(copy)
    data = next(path.name for path in copy.datasets_folder.iterdir())
    run_id = added(copy, sl, "--parents", *names, "--set", "raw_blocks=true")
    assert command(copy.home, "models", "embed", run_id, data).returncode == 0
    weight, bias = weights(sl)
    inputs = np.concatenate([units(copy, name, data, raw=True) for name in names], axis=1)
    made = inputs @ weight.T + bias
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.testing.assert_allclose(units(copy, run_id, data), made, atol=1e-5, rtol=0)
    unit = np.concatenate([units(copy, name, data) for name in names], axis=1) @ weight.T + bias
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert (made * unit).sum(1).min() < 1 - 1e-4  # and so is another space than that of unit blocks


@pytest.mark.usefixtures("here")
def test_positioning_needs_to_know_whose_teacher_each_parent_is(copy: Workspace, sl: Path) -> None:
    names = teachers(copy)
    data = next(path.name for path in copy.datasets_folder.iterdir())
    run_id = added(copy, sl, "--parents", *names, "--set", "adaptor=positioning")
    assert command(copy.home, "models", "embed", run_id, data).returncode == 0
    weight, bias = weights(sl)
    groups = [read_run(copy, name).config.data.groups[0] for name in names]
    images = open_dataset(copy.dataset(data)).images["group"].to_numpy()
    inputs = [np.where((images == group)[:, None], units(copy, name, data), 0) for group, name in zip(groups, names, strict=True)]  # fmt: skip
    made = np.concatenate(inputs, axis=1) @ weight.T + bias
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.testing.assert_allclose(units(copy, run_id, data), made, atol=1e-6, rtol=0)
    swapped = json.dumps(groups[::-1])
    other = added(copy, sl, "--parents", *names, "--set", "adaptor=positioning", "--set", f"groups={swapped}")
    assert command(copy.home, "models", "embed", other, data).returncode == 0
    assert not np.allclose(units(copy, other, data), made, atol=1e-2)


@pytest.mark.usefixtures("here")
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(copy: Workspace, sl: Path, tmp_path: Path) -> None:
    first, second = teachers(copy)
    table = list_runs(copy)
    space = str(table.loc[table["role"] == "adaptor", "run_id"].iloc[0])
    wide = written(tmp_path / "wide" / "1backbone.pth", 3 * DIM)
    assert "so it needs 3 parents; it does not fit 2 parents of 16, 16 dims" in refused(
        copy, wide, "--parents", first, second
    )
    assert "name the models whose embeddings it takes" in refused(copy, sl)
    assert "Asian, African, Caucasian, Indian" in refused(copy, sl)
    assert "twice" in refused(copy, sl, "--parents", first, first)
    assert "is a common space" in refused(copy, sl, "--parents", first, space)
    assert "there is no run 'nothing'" in refused(copy, sl, "--parents", first, "nothing")
    assert "leave publisher out" in refused(copy, sl, "--parents", first, second, "--set", "publisher=magface")
    assert "only positioning and encoding look at groups" in refused(
        copy, sl, "--parents", first, second, "--set", 'groups=["a", "b"]'
    )
    torch.save({"conv1.weight": torch.ones(3, 3)}, tmp_path / "other.pth")
    assert "is not an adaptor of MST-KD; leave parents out" in refused(
        copy, tmp_path / "other.pth", "--parents", first, second
    )
    broken = {"fc1.weight": torch.ones(4, 32), "fc1.bias": torch.ones(4), "fc2.weight": torch.ones(4, 4), "fc2.bias": torch.ones(4)}  # fmt: skip
    torch.save({**broken, "attention.in_proj_bias": torch.ones(12)}, tmp_path / "attention.pth")
    assert "attention was trained" in refused(copy, tmp_path / "attention.pth", "--parents", first, second)
    torch.save({"fc.weight": torch.zeros(16, 32), "fc.bias": torch.ones(16)}, tmp_path / "constant.pth")
    result = command(copy.home, "models", "add", str(tmp_path / "constant.pth"), "--dry-run")
    assert "the same output whatever goes in" in result.stderr


def test_parents_are_proposed_where_names_tell(copy: Workspace) -> None:
    names = teachers(copy)
    assert proposed(copy, ("Group A", "nobody")) == [names[0], ""]


@pytest.mark.usefixtures("here")
def test_the_page_asks_for_a_model_for_each_block(copy: Workspace, sl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, copy, "models")
    app.text_input(key="model_path").set_value(str(sl)).run()
    next(button for button in app.button if button.label == "Inspect").click().run()
    fine(app)
    assert [metric for metric in app.selectbox if str(metric.key).startswith("parent ")]
    assert "Choose a model for each block." in [item.value for item in app.info]
    first, second = teachers(copy)
    app.selectbox(key="parent 1").set_value(first)
    app.selectbox(key="parent 2").set_value(first).run()
    assert any("two blocks" in item.value for item in app.warning)
    app.selectbox(key="parent 2").set_value(second).run()
    app.text_input(key="model_name").set_value("From the page").run()
    next(button for button in app.button if button.label == "Add it").click().run()
    fine(app)
    table = list_runs(copy)
    (run_id,) = table.loc[table["title"] == "From the page", "run_id"]
    assert state(copy.run(run_id)).status == "done"
    assert (read_run(copy, run_id).role, read_run(copy, run_id).parents) == ("adaptor", (first, second))


def test_the_python_api_takes_parents_too(copy: Workspace, sl: Path) -> None:
    lab = Lab(copy)
    source = lab.models.with_parents(sl, parents=teachers(copy))
    assert (source.adaptor, list(source.parents)) == ("sl", teachers(copy))
    with pytest.raises(FairLabError, match="does not fit 1 parent of 16 dims"):
        lab.models.with_parents(sl, parents=teachers(copy)[:1])
