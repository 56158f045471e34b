"""An archive that came without its data: what is missing is named everywhere, and can be found from where the user stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.jobs.data.missing import missing
from fairlab.jobs.data.starts import add_data, draw_pairs, find_data
from fairlab.jobs.evaluate.starts import evaluate
from fairlab.jobs.models.starts import add_model
from fairlab.settings.protocols import DrawnPairs
from fairlab.settings.study import ModelFile, Source
from fairlab.storage.archive import archive
from fairlab.storage.archive_reading import bring_in
from fairlab.storage.deleting import delete_dataset
from fairlab.store.runs import state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.data.trees import face, grouped, rfw
from tests.zoo import built

PAGES = tuple(sorted(path.stem for path in (app_root() / "pages").glob("*.py")))
LOOKING = ("home", "verification", "fairness", "compare", "spaces", "storage")


@pytest.fixture
def came(tmp_path: Path, here: None) -> Workspace:
    """A workspace into which a model of released pairs was imported, with the ticks that are set at first."""
    lab = open_workspace(tmp_path / "theirs")
    add_data(lab, Source(path=str(rfw(tmp_path / "set", px=64)), image_px=32), "mine")
    images = open_dataset(lab.dataset("mine")).images
    people = np.unique(images["identity"].to_numpy(dtype=str), return_inverse=True)[1]
    random = np.random.default_rng(0)
    vectors = random.normal(size=(people.max() + 1, 8))[people] + 0.3 * random.normal(size=(len(people), 8))
    np.savez(tmp_path / "emb.npz", vectors=vectors.astype(np.float32), image=images["location"].to_numpy(dtype=str))
    [model] = add_model(lab, ModelFile(path=str(tmp_path / "emb.npz"), dataset="mine"))
    evaluate(lab, model, "mine")
    archive(lab, model, tmp_path / "model.tar")
    other = open_workspace(tmp_path / "ours")
    found = bring_in(other, tmp_path / "model.tar")
    assert any("fairlab data find mine PATH" in note for note in found["notes"])
    return other


def opened(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    return AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()


def show(app: AppTest, page: str) -> str:
    """Open a page, which has neither an exception nor a red box; returns its warnings."""
    app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
    assert not app.exception, (page, app.exception)
    assert not app.error, (page, [item.value for item in app.error])
    return " ".join(item.value for item in app.warning)


def test_what_an_archive_came_without_is_found_from_the_page(
    came: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(came, monkeypatch)
    for page in PAGES:
        if "mine is not in this workspace" not in show(app, page):
            assert page not in LOOKING[1:], page
    before = open_dataset(open_workspace(tmp_path / "theirs").dataset("mine")).fingerprint
    shutil.move(tmp_path / "set", tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "changed")
    face(next((tmp_path / "changed").rglob("*.jpg")), 77, 64)
    show(app, "fairness")
    app.text_input(key="find in:mine").input(str(tmp_path / "nowhere")).run()
    app.button(key="find:mine").click().run()
    assert "does not exist" in app.error[0].value.replace("\\", "")
    app.text_input(key="find in:mine").input(str(tmp_path / "changed")).run()
    app.button(key="find:mine").click().run()
    assert "these data are not those of mine" in app.error[0].value.replace("\\", "")
    assert not came.dataset("mine").exists()
    app.text_input(key="find in:mine").input(str(tmp_path / "moved")).run()
    app.button(key="find:mine").click().run()
    assert open_dataset(came.dataset("mine"), verify=True).fingerprint == before
    for page in PAGES:
        assert "not in this workspace" not in show(app, page), page
        if page in ("verification", "fairness"):
            assert app.subheader, page


def test_by_command_other_images_are_refused_and_the_same_are_taken(came: Workspace, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "set", tmp_path / "fewer")
    next((tmp_path / "fewer" / "test" / "data").rglob("*_0003.jpg")).unlink()
    refused = command(came.home, "data", "find", "mine", str(tmp_path / "fewer"))
    assert refused.returncode == 1
    assert not came.dataset("mine").exists()
    assert "`fairlab data find mine PATH`" in command(came.home, "data", "find", "mine").stderr
    taken = command(came.home, "data", "find", "mine", str(tmp_path / "set"))
    assert taken.returncode == 0, taken.stderr
    with pytest.raises(FairLabError, match="data set mine exists"):
        find_data(came, "mine", "x")


def test_generated_faces_are_made_again(
    tiny: Workspace, tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built("archive_without_data", tiny).home, tmp_path / "home")
    lab = open_workspace(tmp_path / "home")
    [name] = [path.name for path in tiny.datasets_folder.iterdir()]
    assert missing(lab, name).fingerprint == open_dataset(tiny.dataset(name)).fingerprint
    app = opened(lab, monkeypatch)
    for page in PAGES:
        told = show(app, page)
        assert page not in LOOKING or "not in this workspace" in told, (page, told)
    show(app, "spaces")
    app.button(key=f"find:{name}").click().run()
    assert not app.error
    assert open_dataset(lab.dataset(name), verify=True).fingerprint == open_dataset(tiny.dataset(name)).fingerprint
    assert all(state(lab.run(path.name)).status == "done" for path in lab.runs_folder.iterdir())
    for page in PAGES:
        assert "not in this workspace" not in show(app, page), page


def drawn(tmp_path: Path, **settings: object) -> tuple[Workspace, Workspace]:
    """A workspace with pairs drawn for an own folder, and one into which a model judged on them was imported."""
    lab, other = open_workspace(tmp_path / "theirs"), open_workspace(tmp_path / "ours")
    tree = grouped(tmp_path / "set", ("A", "B"), 6, 3, px=32)
    add_data(lab, Source(path=str(tree), image_px=32), "mine")
    images = open_dataset(lab.dataset("mine")).images
    vectors = np.random.default_rng(0).normal(size=(len(images), 8)).astype(np.float32)
    np.savez(tmp_path / "emb.npz", vectors=vectors, image=images["location"].to_numpy(dtype=str))
    [model] = add_model(lab, ModelFile(path=str(tmp_path / "emb.npz"), dataset="mine"))
    by = {"mined_by": model} if settings.pop("mined", False) else {}
    draw_pairs(lab, "mine", DrawnPairs(genuine=12, seed=3, **by))
    evaluate(lab, model, "mine")
    archive(lab, model, tmp_path / "model.tar")
    [note] = bring_in(other, tmp_path / "model.tar")["notes"]
    assert "its pairs are drawn again with seed 3 as before" in note
    assert "drawn again, with seed 3 as before" in missing(other, "mine").sentence()
    return lab, other


def test_drawn_pairs_are_drawn_again_where_an_archive_went(
    tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive holds no data; the settings and the seed travel with the run that drew."""
    lab, other = drawn(tmp_path)
    found = command(other.home, "data", "find", "mine", str(tmp_path / "set"))
    assert found.returncode == 0, found.stderr
    assert "Its pairs are drawn again, with seed 3 as before." in found.stdout + found.stderr
    theirs, ours = (open_dataset(one.dataset("mine"), verify=True) for one in (lab, other))
    assert ours.fingerprint == theirs.fingerprint
    assert len(ours.pairs) == 48
    assert ours.pairs.equals(theirs.pairs)
    app = opened(other, monkeypatch)
    show(app, "verification")
    assert "At the operating point" in [item.value for item in app.subheader]


def test_pairs_that_a_model_picked_wait_for_its_embeddings(
    tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = drawn(tmp_path, mined=True)
    found = command(other.home, "data", "find", "mine", str(tmp_path / "set"))
    assert found.returncode == 0, found.stderr
    assert "drawn for it before are missing: emb has no embeddings of mine" in found.stdout + found.stderr
    assert open_dataset(other.dataset("mine")).pairs.empty
    app = opened(other, monkeypatch)
    show(app, "data")
    assert app.number_input(key="drawn seed:mine").value == 3
    assert any("to draw the same pairs again" in item.value for item in app.caption)


def test_a_data_set_goes_with_the_run_that_drew_its_pairs(tmp_path: Path, here: None) -> None:
    lab, _ = drawn(tmp_path)
    goes = delete_dataset(lab, "mine", force=True)
    assert sorted(name.rpartition("-s")[0] for name in goes.runs) == ["data-mine", "pairs-of-mine"]
