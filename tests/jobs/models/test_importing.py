"""A model from a file: added by the command, run on faces it never saw, judged, and shown beside trained ones."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fairlab.compare.compare import compare
from fairlab.compare.models import list_models
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.evaluate.starts import evaluate
from fairlab.jobs.models.importing import memory_limited, recognised, report_of
from fairlab.jobs.models.starts import add_model, inspect_model
from fairlab.models.base import BACKBONES
from fairlab.models.files.checkpoints import load_head
from fairlab.plan.grid import plan_preset
from fairlab.plan.plan import Plan
from fairlab.queue.launch import start
from fairlab.queue.waiting import wait
from fairlab.settings.study import Backbone, ModelFile
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results
from fairlab.store.runs import create_run, read_run, state
from fairlab.store.studies import studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home, fairlab
from tests.fixtures import onnx_models

CLASSES = 7


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A MobileFaceNet as nobody trained it, but with norm layers that have seen something."""
    torch.manual_seed(1)
    found = BACKBONES["mbf"](Backbone(name="mbf"), 112)
    with torch.no_grad():
        for _ in range(3):
            found(torch.randn(8, 3, 112, 112))
    return found.eval()


@pytest.fixture(scope="module")
def checkpoint(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As arcface_torch saves it: network and head side by side."""
    path = tmp_path_factory.mktemp("files") / "checkpoint_gpu_0.pt"
    head = {"weight": torch.arange(CLASSES * 512).reshape(CLASSES, 512).float()}
    content = {"epoch": 3, "state_dict_backbone": network.state_dict(), "state_dict_softmax_fc": head}
    torch.save(content, path)
    return path


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def by_hand(network: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Unit embedding of one face of another size, by Pillow and plain arithmetic."""
    big = np.asarray(Image.fromarray(pixels).resize((112, 112), Image.Resampling.BILINEAR))
    values = torch.tensor((big / 255.0 - 0.5) / 0.5, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        found = network(values)[0].numpy()
    return np.asarray(found)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_checkpoint_becomes_a_model_that_is_judged_on_other_faces(
    copy: Workspace, network: nn.Module, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fairlab(copy.home, "models", "add", str(checkpoint), "--name", "Mobile", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    added = json.loads(result.stdout)
    assert (added["family"], added["embedding_dim"], added["image_px"], added["classes"]) == ("mbf", 512, 112, CLASSES)
    assert added["preprocessing"]["channels"] == "RGB"
    run_id = added["run_id"]
    weights = copy.run(run_id) / "weights"
    assert not list(weights.glob("*.pt*"))
    assert load_head(weights)["weight"][1, 0] == 512

    faces = next(path.name for path in copy.datasets_folder.iterdir())
    result = command(copy.home, "evaluate", run_id, faces, "--json", "--set", "bootstrap=100")
    assert result.returncode == 0, result.stdout + result.stderr
    numbers = json.loads(result.stdout)
    (mean,) = [row for row in numbers if row["metric"] == "mean_accuracy" and row["protocol"] == "test"]
    assert 0 < mean["value"] < 1
    assert mean["genuine_pairs"] == 120

    data = open_dataset(copy.dataset(faces))
    pair = data.pairs_of("test").iloc[0]
    raw = [np.asarray(data.pixels[int(pair[side])]) for side in ("image_a", "image_b")]
    plain = open_embeddings(copy.run(run_id), faces, "plain")
    one = by_hand(network, raw[0])
    np.testing.assert_allclose(plain.vectors[int(pair["image_a"])], one / np.linalg.norm(one), atol=2e-5)
    sums = [by_hand(network, face) + by_hand(network, face[:, ::-1].copy()) for face in raw]
    cosine = float(np.dot(*[value / np.linalg.norm(value) for value in sums]))
    scores = read_results(copy.run(run_id), faces, "scores").set_index("pair_id")["score"]
    assert scores[pair["pair_id"]] == pytest.approx(cosine, abs=2e-5)

    models = list_models(copy).set_index("run_id")
    assert models.loc[run_id, ["network", "trained_on", "judged_on"]].tolist() == ["mbf", checkpoint.name, faces]
    study = str(studies(copy)["study_id"].iloc[0])
    assert compare(copy, study)["model"].tolist()[-1] == "Mobile"
    assert compare(copy, "", dataset_id=faces)["run_id"].tolist() == [run_id]
    shown_on_pages(copy, run_id, study, faces, monkeypatch)


def shown_on_pages(copy: Workspace, run_id: str, study: str, faces: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_pages import fine, opened

    for page in ("models", "verification", "fairness", "compare", "spaces"):
        for asked in ("added", study, ""):
            app = opened(monkeypatch, copy, page, study=asked, model=run_id, right=run_id, on=faces)
            fine(app)
            assert not app.warning or page == "spaces", [item.value for item in app.warning]
    app = opened(monkeypatch, copy, "verification", study=study, model=run_id)
    assert app.selectbox(key="model").value == run_id


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_the_same_run_is_judged_on_a_set_it_was_not_trained_on(copy: Workspace) -> None:
    """Also an adaptor and a concatenation: their teachers embed the set first."""
    (old,) = (path.name for path in copy.datasets_folder.iterdir())
    plan = plan_preset(copy, "tiny", {"demo.seed": 7, "arms": (), "students": (), "student.training.epochs": 1})
    render = plan.runs[0].record
    start(copy, Plan(plan.study_id, plan.preset, plan.study, plan.runs[:1]))
    assert wait(copy, [render.run_id])
    table = list_runs(copy)
    for title in ("Common space (SL, specialised)", "Concatenation (specialised)"):
        run_id = str(table.loc[table["title"] == title, "run_id"].iloc[0])
        result = command(copy.home, "evaluate", run_id, render.dataset, "--set", "bootstrap=100")
        assert result.returncode == 0, result.stdout + result.stderr
        for view in ("plain", "flip"):
            here, there = (open_embeddings(copy.run(run_id), name, view) for name in (old, render.dataset))
            assert here.vectors.shape[1] == there.vectors.shape[1]
    teachers = [open_embeddings(copy.run(name), render.dataset).vectors for name in read_run(copy, run_id).parents]
    side_by_side = np.concatenate(teachers, axis=1) / np.sqrt(len(teachers))
    np.testing.assert_allclose(open_embeddings(copy.run(run_id), render.dataset).vectors, side_by_side, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_an_onnx_graph_that_scales_by_itself_is_judged_as_it_wants(copy: Workspace, tmp_path: Path) -> None:
    """Pixels go in as they are, the face alone, no mirror image; the same numbers come out as from torch."""
    path = tmp_path / "zoo.onnx"
    inside = (("Sub", 127.5), ("Mul", 1 / 128))
    path.write_bytes(onnx_models.network(inside=inside).SerializeToString())
    result = command(copy.home, "models", "add", str(path), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    added = json.loads(result.stdout)
    assert (added["family"], added["image_px"], added["embedding_dim"]) == ("ONNX", onnx_models.PX, onnx_models.DIM)
    assert (added["preprocessing"]["mean"], added["preprocessing"]["std"]) == ([0.0] * 3, [1.0] * 3)
    assert added["confirm"] == ["channels", "mean", "std", "flip"]
    faces = next(name.name for name in copy.datasets_folder.iterdir())
    result = command(copy.home, "evaluate", added["run_id"], faces, "--set", "bootstrap=100")
    assert result.returncode == 0, result.stdout + result.stderr
    data = open_dataset(copy.dataset(faces))
    pair = data.pairs_of("test").iloc[3]
    units = []
    for side in ("image_a", "image_b"):
        face = Image.fromarray(np.asarray(data.pixels[int(pair[side])]))
        small = np.array(face.resize((onnx_models.PX,) * 2, Image.Resampling.BILINEAR)).astype(np.float32)
        found = onnx_models.reference(torch.from_numpy(small).permute(2, 0, 1)[None], inside)[0].numpy()
        units.append(found / np.linalg.norm(found))
    scores = read_results(copy.run(added["run_id"]), faces, "scores").set_index("pair_id")["score"]
    assert scores[pair["pair_id"]] == pytest.approx(float(units[0] @ units[1]), abs=2e-5)


def test_a_look_at_a_graph_leaves_this_process_the_memory_it_had(tmp_path: Path) -> None:
    """The limit is the graph's. Kept, it was inherited: Chromium, started by the same process, died of it."""
    path = tmp_path / "zoo.onnx"
    path.write_bytes(onnx_models.network().SerializeToString())
    before = resource.getrlimit(resource.RLIMIT_AS)
    report_of(ModelFile(path=str(path)))
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with memory_limited(1 << 20), pytest.raises((MemoryError, RuntimeError)):
        torch.ones(200_000_000)


@pytest.mark.usefixtures("here")
def test_what_is_no_model_is_refused_in_one_sentence(lab: Workspace, checkpoint: Path, tmp_path: Path) -> None:
    """Nothing is left of it but a run that says why."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"state_dict": {"conv1.weight": Evil()}}, tmp_path / "evil.pth")
    (run_id,) = add_model(lab, ModelFile(path=str(tmp_path / "evil.pth")))
    assert not wait(lab, [run_id])
    assert "evil.pth" in state(lab.run(run_id)).reason
    assert not (tmp_path / "ran").exists()
    assert not (lab.run(run_id) / "weights").exists()
    (tmp_path / "notes.txt").write_text("hello")
    for path, more, said in (
        (tmp_path / "nothing.pth", {}, "there is no file"),
        (tmp_path / "notes.txt", {}, "notes.txt"),
        (checkpoint, {"image_px": 96}, "takes faces of 112 px, not 96"),
        (checkpoint, {"head": str(tmp_path / "nothing.pth")}, "nothing.pth"),
    ):
        with pytest.raises(FairLabError, match=said):
            recognised(ModelFile(path=str(path), **more))
    create_run(lab, plan_preset(lab, "tiny").runs[0].record)
    (data,) = set(list_runs(lab)["run_id"]) - {run_id}
    with pytest.raises(FairLabError, match="is not a model: its role is dataset"):
        evaluate(lab, data)


def test_a_path_that_is_no_file_queues_nothing(lab: Workspace, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<!doctype html><html></html>")
    for path, said in (
        (tmp_path / "nothing.pth", "there is no file"),
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "page.pth", "web page"),
    ):
        for begin in (add_model, inspect_model):
            with pytest.raises(FairLabError, match=said):
                begin(lab, ModelFile(path=str(path)))
    assert list_runs(lab).empty


def test_a_file_is_tried_once(checkpoint: Path, tmp_path: Path) -> None:
    """Looking and then adding takes one trial: an earlier one of the same file with the same record counts, no other."""
    source = ModelFile(path=str(checkpoint))
    report = report_of(source)
    (tmp_path / "runs" / "look").mkdir(parents=True)
    report["trial"]["pairs"] = 12345  # by which it is known again
    (tmp_path / "runs" / "look" / "report.json").write_text(json.dumps(report))
    assert report_of(source, runs=tmp_path / "runs")["trial"]["pairs"] == 12345
    other = source.model_copy(update={"channels": "BGR"})
    assert report_of(other, runs=tmp_path / "runs")["trial"]["pairs"] < 12345


def test_the_record_is_the_users_where_he_says_so(checkpoint: Path) -> None:
    found = recognised(ModelFile(path=str(checkpoint), channels="BGR", std=(128.0,), flip="none")).facts[
        "preprocessing"
    ]
    assert (found["channels"], found["mean"], found["std"]) == ("BGR", [127.5] * 3, [128.0] * 3)
    assert found["flip"] == "none"
