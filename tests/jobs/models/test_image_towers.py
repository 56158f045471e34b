"""CLIP and DINOv2 as ONNX: 224 pixels on smaller faces, a mean and a std for each channel, by command and page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from fairlab.data.dataset import open_dataset
from fairlab.store.embeddings import open_embeddings
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.data.trees import grouped
from tests.fixtures.onnx_models import model
from tests.test_pages import opened

MEAN, STD = (122.77, 116.75, 104.09), (68.5, 66.63, 70.32)
"""CLIP's, as published for 0..1 (.4815 .4578 .4082 and .2686 .2613 .2758) times 255."""
PX = 224


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    """Its embedding is the mean of each channel as it comes in: what was done to the pixels can be read off."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixel_values"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["image_embeds"]),
    ]
    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["N", 3, PX, PX])
    given = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["N", 3])
    path = tmp_path / "clip.onnx"
    path.write_bytes(model(helper.make_graph(nodes, "clip", [taken], [given])).SerializeToString())
    return path


@pytest.mark.usefixtures("here")
def test_pixels_are_scaled_channel_by_channel_at_the_towers_size(lab: Workspace, tower: Path, tmp_path: Path) -> None:
    """(mean of the channel over the enlarged face - mean) / std, by Pillow and arithmetic."""
    added = command(
        lab.home, "data", "add", str(grouped(tmp_path / "faces", px=48)), "--name", "faces", "--set", "image_px=48"
    )
    assert added.returncode == 0, added.stdout + added.stderr
    sets = [f"mean={list(MEAN)}", f"std={list(STD)}", "channels=RGB", "flip=none"]
    result = command(
        lab.home, "models", "add", str(tower), "--json", *(part for item in sets for part in ("--set", item))
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert (report["image_px"], report["embedding_dim"], report["confirm"]) == (PX, 3, [])
    assert command(lab.home, "models", "embed", report["run_id"], "faces").returncode == 0
    stored = open_embeddings(lab.run(report["run_id"]), "faces", "plain")
    raw = np.asarray(stored.vectors) * np.asarray(stored.norms)[:, None]
    for pixels, embedding in zip(np.asarray(open_dataset(lab.dataset("faces")).pixels[:]), raw, strict=True):
        large = np.asarray(Image.fromarray(pixels).resize((PX, PX), Image.Resampling.BILINEAR), float)
        assert np.allclose(embedding, (large.mean((0, 1)) - MEAN) / STD, atol=1e-3)


@pytest.mark.usefixtures("here")
def test_the_page_takes_a_mean_and_a_std_for_each_channel(
    lab: Workspace, tower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(monkeypatch, lab, "models")
    page.text_input(key="model_path").set_value(str(tower))
    page.text_input(key="model:mean").set_value(", ".join(map(str, MEAN)))
    page.text_input(key="model:std").set_value(", ".join(map(str, STD)))
    page.run()
    next(button for button in page.button if button.label == "Inspect").click().run(timeout=60)
    assert not page.error
    assert not page.exception
    looked = json.loads(next(lab.runs_folder.glob("*/report.json")).read_text())
    assert looked["preprocessing"]["mean"] == pytest.approx(MEAN)
    assert looked["preprocessing"]["std"] == pytest.approx(STD)
    assert looked["confirm"] == ["channels", "flip"]
