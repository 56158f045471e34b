"""Networks that take landmarks, from file to numbers: by command and page, on data that have landmarks and data that have none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.transform import SimilarityTransform

from fairlab.data.align import TEMPLATE_112
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.points import points_of
from fairlab.errors import FairLabError
from fairlab.jobs.data.starts import make_data
from fairlab.jobs.evaluate.starts import embed
from fairlab.models.backbones.kprpe import LandmarkTransformer
from fairlab.models.backbones.vit import CVLFACE_FORMS, Form
from fairlab.settings.study import Backbone, ModelFile, Recipe
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results
from fairlab.store.runs import state
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.data.trees import grouped, rfw
from tests.fixtures.onnx_models import with_landmarks
from tests.models.waves import weights
from tests.test_pages import opened

pytestmark = pytest.mark.usefixtures("here")
PX = 32
"""Of the networks; the data are of 112 pixels, and shares of a crop are the same at any size."""


def turned_faces(root: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """RFW with landmarks of turned faces, each image's its own; (its folder, name of an image -> landmarks)."""
    rng, points = np.random.default_rng(2), dict[str, np.ndarray]()
    for path in rfw(root, people=4).glob("test/txts/*/*_lmk.txt"):
        lines = []
        for line in path.read_text().splitlines():
            name, person, *values = line.split("\t")
            places = np.array(values, float).reshape(5, 2) + rng.normal(0, 3, (5, 2))
            places = np.round(places, 2)
            points[name.rpartition("/")[2]] = places
            lines.append("\t".join([name, person, *(f"{value:.2f}" for value in places.ravel())]))
        path.write_text("\n".join(lines) + "\n")
    return root, points


def added(lab: Workspace, name: str, root: Path, *more: str) -> Dataset:
    result = command(lab.home, "data", "add", str(root), "--name", name, *more)
    assert result.returncode == 0, result.stdout + result.stderr
    return open_dataset(lab.dataset(name))


def model(lab: Workspace, path: Path, *more: str) -> str:
    result = command(lab.home, "models", "add", str(path), *more, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    return str(json.loads(result.stdout)["run_id"])


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "points.onnx"
    path.write_bytes(with_landmarks(px=PX).SerializeToString())
    return path


def raw(lab: Workspace, run_id: str, data: Dataset, view: str = "plain") -> np.ndarray:
    """The embeddings before they were scaled to length 1."""
    stored = open_embeddings(lab.run(run_id), data.dataset_id, view)
    return np.asarray(stored.vectors) * np.asarray(stored.norms)[:, None]


@pytest.mark.parametrize("copied", [False, True])
def test_landmarks_of_the_data_in_the_crop(lab: Workspace, graph: Path, tmp_path: Path, copied: bool) -> None:
    """As scikit-image brings them to the template, divided by 112; in the mirror 1 - x, with left and right exchanged."""
    root, points = turned_faces(tmp_path / "rfw")
    data = added(lab, "turned", root, *(["--set", "copy_pixels=true"] if copied else []))
    run_id = model(lab, graph)
    result = command(lab.home, "evaluate", run_id, "turned", "--set", "bootstrap=100")
    assert result.returncode == 0, result.stdout + result.stderr
    plain, flipped = raw(lab, run_id, data), raw(lab, run_id, data, "flip")
    for row, location in enumerate(data.images["location"]):
        landmarks = points[str(location).rpartition("/")[2]]
        expected = SimilarityTransform.from_estimate(landmarks, TEMPLATE_112)(landmarks) / 112
        assert np.allclose(plain[row, 1:].reshape(5, 2), expected, atol=1e-4)
        other = np.stack([1 - expected[[1, 0, 2, 4, 3], 0], expected[[1, 0, 2, 4, 3], 1]], 1)
        assert np.allclose(flipped[row, 1:].reshape(5, 2), other, atol=1e-4)
    assert open_embeddings(lab.run(run_id), "turned", "plain").facts["landmarks_of_template"] == 0
    assert "mean_accuracy" in set(read_results(lab.run(run_id), "turned", "metrics")["metric"])
    half = Recipe(dataset="turned", splits=("test",), unit="identities", equal=True, count=2)
    made = make_data(lab, half, "half")
    assert state(lab.run(made)).status == "done", state(lab.run(made)).reason
    few = open_dataset(lab.dataset("half"))
    lent, whole = points_of(few, 112), points_of(data, 112)
    assert lent is not None
    assert whole is not None
    assert np.array_equal(lent, whole[few.borrowed()[1]])


def test_data_without_landmarks_are_refused_unless_the_user_says_that_faces_are_aligned(
    lab: Workspace, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By command, API and page, in one sentence; with landmarks=template each face gets the template's points, and it is kept
    beside the embeddings how many did."""
    data = added(lab, "plain", grouped(tmp_path / "faces"))
    strict, told = (
        model(lab, graph, "--name", "Strict"),
        model(lab, graph, "--set", "landmarks=template", "--name", "Told"),
    )
    sentence = (
        "Strict takes the landmarks of each face, and data set plain has none: add the images together with their landmarks; "
        "if its faces are aligned to the template, add the model again with landmarks=template"
    )
    result = command(lab.home, "models", "embed", strict, "plain")
    assert result.returncode != 0
    assert sentence in " ".join(result.stderr.split())
    with pytest.raises(FairLabError, match=re.escape(sentence)):
        embed(lab, strict, "plain")
    page = opened(monkeypatch, lab, "models", evaluate=strict, set="plain")
    page.button(key="embed").click().run()
    assert ["takes the landmarks of each face" in item.value for item in page.error] == [True]
    assert command(lab.home, "models", "embed", told, "plain").returncode == 0
    plain = raw(lab, told, data)
    assert np.allclose(plain[:, 1:], (TEMPLATE_112 / 112).ravel(), atol=1e-5)
    assert open_embeddings(lab.run(told), "plain", "plain").facts["landmarks_of_template"] == len(data.images)


def test_some_images_without_landmarks(lab: Workspace, graph: Path, tmp_path: Path) -> None:
    """The job names how many and the first; landmarks=template fills in these alone."""
    root, _ = turned_faces(tmp_path / "rfw")
    path = root / "test" / "txts" / "African" / "African_lmk.txt"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join(others) + "\n")
    data = added(lab, "some", root)
    strict, told = (
        model(lab, graph, "--name", "Strict"),
        model(lab, graph, "--set", "landmarks=template", "--name", "Told"),
    )
    result = command(lab.home, "models", "embed", strict, "some")
    assert result.returncode != 0
    name = first.split("\t")[0].rpartition("/")[2]
    reasons = [str(state(lab.run(path.name)).reason) for path in lab.runs_folder.iterdir()]
    assert any(
        f"1 of {len(data.images)} images of data set some have none, e.g. " in reason and name in reason
        for reason in reasons
    )
    assert command(lab.home, "models", "embed", told, "some").returncode == 0
    lacks = data.images["location"].astype(str).str.endswith(name).to_numpy()
    shares = raw(lab, told, data)[:, 1:]
    assert np.allclose(shares[lacks], (TEMPLATE_112 / 112).ravel(), atol=1e-5)
    assert (np.abs(shares[~lacks] - (TEMPLATE_112 / 112).ravel()).max(1) > 1e-3).all()


@pytest.mark.parametrize(
    ("more", "message"), [({}, "takes no landmarks; leave landmarks out"), ({"landmarks": "mine"}, "landmarks")]
)
def test_landmarks_for_a_network_that_takes_none(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    from fairlab.jobs.models.importing import recognised
    from fairlab.settings.study import parse
    from tests.fixtures.onnx_models import network

    path = tmp_path / "a.onnx"
    path.write_bytes(network().SerializeToString())
    with pytest.raises(FairLabError, match=message):
        recognised(parse(ModelFile, {"path": str(path), "landmarks": "data", **more}, "here"))


def test_a_checkpoint_with_kp_rpe(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVLface's file, here of a small form: added by the command, tried on generated faces, and run on turned faces with their
    landmarks as the network itself does."""
    form = Form(16, 2, 2, 3, 8)
    monkeypatch.setitem(CVLFACE_FORMS, "s", form)
    network = LandmarkTransformer(form, Backbone(embedding_dim=8), PX)
    state_dict = weights(network.state_dict())
    network.load_state_dict(state_dict)
    torch.save({f"net.{key}": value for key, value in state_dict.items()}, tmp_path / "kprpe.pt")
    data = added(lab, "turned", turned_faces(tmp_path / "rfw")[0])
    run_id = model(lab, tmp_path / "kprpe.pt", "--set", "channels=RGB")
    assert command(lab.home, "models", "embed", run_id, "turned").returncode == 0
    pixels = torch.from_numpy(np.asarray(data.pixels_at(PX)[np.arange(5)])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = network.eval()(pixels, torch.from_numpy(points_of(data, PX)[:5]))
    assert np.allclose(raw(lab, run_id, data)[:5], expected.numpy(), atol=1e-4)
