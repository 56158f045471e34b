"""From a folder of one's own and embeddings of it to numbers, pressing only the buttons that the empty page offers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.cli.main import main
from fairlab.data.dataset import open_dataset
from fairlab.files import app_root
from fairlab.jobs.data.starts import add_data
from fairlab.jobs.models.starts import add_model
from fairlab.settings.study import ModelFile, Source
from fairlab.store.runs import read_run
from fairlab.workspace import open_workspace
from tests.conftest import wait_done
from tests.data.trees import grouped
from tests.zoo import scores_only


def test_embeddings_of_own_images_get_numbers_from_the_empty_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_workspace(tmp_path / "home")
    tree = grouped(tmp_path / "set", ("A", "B"), 6, 3, px=32)
    wait_done(lab, [add_data(lab, Source(path=str(tree), image_px=32), "mine")])
    images = open_dataset(lab.dataset("mine")).images
    people = np.unique(images["identity"].to_numpy(dtype=str), return_inverse=True)[1]
    random = np.random.default_rng(0)
    vectors = random.normal(size=(people.max() + 1, 8))[people] + 0.3 * random.normal(size=(len(people), 8))
    np.savez(tmp_path / "emb.npz", vectors=vectors.astype(np.float32), image=images["location"].to_numpy(dtype=str))
    wait_done(lab, add_model(lab, ModelFile(path=str(tmp_path / "emb.npz"), dataset="mine")))
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    for page in ("compare", "fairness", "verification"):
        app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
        assert not app.exception
        assert not app.error
        assert {"Draw pairs", "Compare all images"} <= {button.label for button in app.button}, page
    app.number_input(key="drawn:mine").set_value(12)
    app.button(key="draw pairs:mine").click().run()
    until = time.monotonic() + 120
    while "way:Evaluate" not in [button.key for button in app.button] and time.monotonic() < until:
        assert not app.error
        time.sleep(0.5)
        app.run()
    assert len(open_dataset(lab.dataset("mine"), verify=True).pairs) == 48
    app.button(key="way:Evaluate").click().run()
    until = time.monotonic() + 120
    while not app.subheader and time.monotonic() < until:
        assert not app.error
        time.sleep(0.5)
        app.run()
    assert "At the operating point" in [item.value for item in app.subheader]


def test_a_paper_preset_starts_with_a_picker_and_not_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_workspace(tmp_path / "home")
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    app.query_params["preset"] = "mst_kd"
    app.switch_page(str(app_root() / "pages" / "launch.py")).run()
    assert not app.error
    assert app.button(key="to data").label == "Add a data set"
    wait_done(
        lab,
        [add_data(lab, Source(path=str(grouped(tmp_path / "set", ("A", "B"), 4, 2, px=32)), image_px=32), "mine")],
    )
    app.run()
    assert not app.exception
    assert not [item.value for item in app.error if "no data set" in item.value]
    assert app.selectbox(key="learn").value == "mine"


def test_prune_with_nothing_to_prune_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(tmp_path / "home"), "storage", "prune"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_scores_only_and_embeddings_without_groups_have_a_way_forward_on_every_page(
    tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model without a network says on Models why it sees no other images, and leads to its numbers; embeddings of images
    that no group is named for get pairs, numbers and Fairness of the one group.
    """
    lab = open_workspace(tmp_path / "home")
    scores_only(lab.home, lab)
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    pages = sorted(path.stem for path in (app_root() / "pages").glob("*.py"))
    for page in pages:
        app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
        assert not app.exception, page
        assert not app.error, (page, [item.value for item in app.error])
        if page == "models":
            assert any("without a network" in item.value for item in app.info)
            assert not [button.label for button in app.button if button.label == "Evaluate" and button.disabled]
    random = np.random.default_rng(1)
    vectors = np.repeat(random.normal(size=(6, 8)), 3, axis=0) + 0.1 * random.normal(size=(18, 8))
    np.save(tmp_path / "plain.npy", vectors.astype(np.float32))
    rows = [f"p{person}/{number}.jpg,p{person}" for person in range(6) for number in range(3)]
    (tmp_path / "plain.csv").write_text("image,identity\n" + "\n".join(rows) + "\n")
    [run_id] = add_model(lab, ModelFile(path=str(tmp_path / "plain.npy")), "plain")
    name = read_run(lab, run_id).dataset
    app.query_params["evaluate"] = run_id
    app.switch_page(str(app_root() / "pages" / "models.py")).run()
    assert not app.error
    app.button(key=f"draw pairs:{name}").click().run()
    app.button(key="judge").click().run()
    assert not app.error
    for page in pages:
        app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
        assert not app.exception, page
        assert not app.error, (page, [item.value for item in app.error])
