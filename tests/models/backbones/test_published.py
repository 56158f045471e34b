"""Published weights load as the network that their code has: keys, order, norms and preprocessing, computed once more."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.models.files.importing import import_checkpoint
from fairlab.models.files.layouts import recognise
from fairlab.models.files.origin import Clues, origin_of
from fairlab.models.preprocessing import PUBLISHERS
from fairlab.models.shapes import shapes_only
from fairlab.plan.choices import backbones
from fairlab.settings.study import Backbone, ModelFile
from tests.models.written import DIM, PUBLISHED, PX, Shapes, State, cavaface_keys, iresnet, iresnet_keys, values

HALF, MAGFACE = (127.5,) * 3, ((0.0,) * 3, (255.0,) * 3)
IMAGES = torch.rand(2, 3, PX, PX, generator=torch.Generator().manual_seed(5)) * 2 - 1


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def after(prefix: str, state: State) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_every_layout_is_its_own_arithmetic(tmp_path: Path, name: str) -> None:
    """Random weights under the official names give what an independent forward pass gives."""
    shapes, forward = PUBLISHED[name]
    state = values(shapes)
    imported = import_checkpoint(saved(tmp_path / "backbone.pth.tar", {"state_dict": after("module.", state)}))
    assert (imported.backbone.name, imported.backbone.embedding_dim, imported.image_px) == (name, DIM, PX)
    with torch.inference_mode():
        torch.testing.assert_close(imported.network()(IMAGES), forward(IMAGES, state), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "publisher", "confirm"),
    [
        ("evolve_ir_50", "face_evolve", ("channels",)),
        ("curricular_ir_50", "curricularface", ()),
        ("cavaface_ir_se_50", "cavaface", ()),
        ("mobilefacenet", "insightface", ()),
        ("mobilefacenet_affine", "curricularface", ()),
        ("mobilefacenet_flat", "face_evolve", ("channels",)),
        ("mbf_large", "insightface", ()),
    ],
)
def test_the_preprocessing_of_each_code(name: str, publisher: str, confirm: tuple[str, ...]) -> None:
    """RGB, (x - 127.5) / 127.5, with the mirror image; where two codes share a layout, the user is asked."""
    found = recognise(PUBLISHED[name][0], "a file")
    assert found is not None
    origin = origin_of(found, Clues(Path("a.pth"), {}, "", [], {}))
    assert (origin.publisher, origin.confirm) == (publisher, confirm)
    assert any("InsightFace_Pytorch's BGR" in note for note in origin.notes) == bool(confirm)
    record = PUBLISHERS[publisher]
    assert (record.channels, record.mean, record.std, record.flip) == ("RGB", HALF, HALF, "sum")
    assert PUBLISHERS["insightface_pytorch"].channels == "BGR"


@pytest.mark.parametrize(
    ("name", "units"),
    [("100", (3, 13, 30, 3)), ("101", (3, 4, 23, 3)), ("152", (3, 8, 36, 3)), ("185", (3, 22, 33, 3)), ("200", (3, 24, 36, 3))],
)  # fmt: skip
def test_the_depths_of_cavaface(name: str, units: tuple[int, ...]) -> None:
    """Its 101 has 33 units, where everybody else's has 49."""
    found = recognise(cavaface_keys(units), "a file")
    assert found is not None
    assert found.backbone.name == f"cavaface_ir_{name}"
    if name == "101":
        with shapes_only():
            built = BACKBONES[found.backbone.name](found.backbone, PX).state_dict()
        assert {key: tuple(tensor.shape) for key, tensor in built.items()} == cavaface_keys(units)


class TestMagFace:
    """The networks of its two trainers: batch-norm epsilon 2e-5, and BGR / 255."""

    heads = torch.randn(9, DIM, generator=torch.Generator().manual_seed(1))

    def content(self, form: str, state: State) -> dict[str, Any]:
        shared = {"epoch": 25, "arch": "iresnet18", "optimizer": {"state": {}, "param_groups": []}}
        if form == "one process":
            return {"state_dict": after("module.features.", state) | {"module.fc.weight": self.heads.t()}, **shared}
        if form == "many processes":
            return {"state_dict": after("features.module.", state) | {"parallel_fc.weight": self.heads}, **shared}
        if form == "release":
            return {"state_dict": after("features.module.", state), "epoch": 25, "arch": "iresnet18"}
        return {"state_dict": state, "arch": "iresnet18"}

    @pytest.mark.parametrize("form", ["one process", "many processes", "release", "without wrapper"])
    def test_every_file_of_its_trainers(self, tmp_path: Path, form: str) -> None:
        """Weights, head and record; with insightface's epsilon the result is another one."""
        state = values(iresnet_keys())
        imported = import_checkpoint(saved(tmp_path / "00025.pth", self.content(form, state)))
        assert imported.backbone.name == "magface_iresnet18"
        record = imported.preprocessing
        assert (record.channels, (record.mean, record.std), record.flip) == ("BGR", MAGFACE, "none")
        assert imported.confirm == ()
        assert any("assumed to be MagFace" in note for note in imported.notes)
        with torch.inference_mode():
            ours, right, other = imported.network()(IMAGES), iresnet(IMAGES, state, 2e-5), iresnet(IMAGES, state, 1e-5)
        torch.testing.assert_close(ours, right, rtol=1e-6, atol=1e-6)
        assert float((ours - other).abs().max()) > 2e-5
        if form.endswith(("process", "processes")):
            assert imported.head is not None
            assert torch.equal(imported.head, self.heads)

    def test_from_the_picture_to_the_embedding(self, tmp_path: Path) -> None:
        """A picture's bytes as MagFace's own script takes them: OpenCV's order, divided by 255, nothing else."""
        state = values(iresnet_keys())
        imported = import_checkpoint(saved(tmp_path / "a.pth", self.content("release", state)))
        rgb = np.random.default_rng(0).integers(0, 256, (PX, PX, 3), dtype=np.uint8)
        bgr = torch.from_numpy(rgb[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        record = imported.preprocessing
        pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()[:, [2, 1, 0]]
        assert record.channels == "BGR"
        prepared = (pixels - torch.tensor(record.mean)[:, None, None]) / torch.tensor(record.std)[:, None, None]
        with torch.inference_mode():
            torch.testing.assert_close(imported.network()(prepared), iresnet(bgr, state, 2e-5), rtol=1e-6, atol=1e-6)

    def test_bare_weights_are_asked_about(self, tmp_path: Path) -> None:
        """The keys of both are the same; insightface keeps the last norm's weights at 1. The user can say which it is."""
        state = values(iresnet_keys())
        unsure = import_checkpoint(saved(tmp_path / "a.pth", state))
        assert (unsure.backbone.name, unsure.confirm) == ("iresnet18", ("channels", "mean", "std"))
        assert any("say publisher=magface" in note for note in unsure.notes)
        assert import_checkpoint(tmp_path / "a.pth", "magface").backbone.name == "magface_iresnet18"
        assert import_checkpoint(saved(tmp_path / "magface_r18.pth", state)).backbone.name == "magface_iresnet18"
        sure = import_checkpoint(saved(tmp_path / "b.pth", state | {"features.weight": torch.ones(DIM)}))
        assert (sure.backbone.name, sure.confirm) == ("iresnet18", ())

    def test_it_has_no_other_networks(self, tmp_path: Path) -> None:
        """A MobileFaceNet is not MagFace's."""
        state = values(PUBLISHED["mobilefacenet"][0])
        with pytest.raises(FairLabError, match="is mobilefacenet, and MagFace's networks are iresnet18"):
            import_checkpoint(saved(tmp_path / "a.pth", state), "magface")


def test_adafaces_own_files(tmp_path: Path) -> None:
    """Lightning's: settings and callbacks beside `model.` and `head.`; BGR."""
    state = BACKBONES["ir_18"](Backbone(name="ir_18", embedding_dim=DIM), PX).state_dict()
    content = {
        "epoch": 25, "pytorch-lightning_version": "1.4.4", "state_dict": after("model.", state) | {"head.kernel": torch.ones(DIM, 9)},
        "callbacks": {}, "hyper_parameters": argparse.Namespace(arch="ir_18"), "best": np.float64(0.9),
    }  # fmt: skip
    imported = import_checkpoint(saved(tmp_path / "adaface_ir18.ckpt", content))
    assert imported.backbone.name == "ir_18"
    assert (imported.preprocessing.channels, imported.confirm) == ("BGR", ())
    assert imported.head is not None
    assert "left out, without running their code: argparse.Namespace, numpy._core.multiarray.scalar" in imported.notes


def test_counters_of_another_kind(tmp_path: Path) -> None:
    """A network turned to half precision as a whole, its counters of batches too."""
    state = {key: tensor.half() for key, tensor in values(PUBLISHED["mobilefacenet"][0]).items()}
    imported = import_checkpoint(saved(tmp_path / "a.pth", state))
    assert imported.tensors["conv1.bn.num_batches_tracked"].dtype == torch.int64
    assert int(imported.tensors["conv1.bn.num_batches_tracked"]) == 7


class TestNearMisses:
    """What nearly fits is named, with the first keys that differ."""

    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            ("iresnet18", {"fc.weight": "linear.weight", "fc.bias": "linear.bias"}, r"closest is iresnet18 \(9\d% .*lacks fc\.weight, fc\.bias; iresnet18 has no linear\.(weight|bias)"),
            ("curricular_ir_50", {"output_layer.3.weight": "embedding.weight"}, r"closest is curricular_ir_50 .*lacks output_layer\.3\.weight; .* has no embedding\.weight"),
            ("mobilefacenet_flat", {"linear.weight": "embed.weight"}, r"closest is mobilefacenet_flat .*lacks linear\.weight; .* has no embed\.weight"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("prefix", ["", "net.core."])
    def test_the_closest_layout(
        self, tmp_path: Path, name: str, change: dict[str, str], message: str, prefix: str
    ) -> None:
        state = {prefix + change.get(key, key): torch.ones(1) for key in PUBLISHED[name][0]}
        with pytest.raises(FairLabError, match=message) as error:
            import_checkpoint(saved(tmp_path / "a.pth", state))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 700

    def test_an_end_that_depends_on_the_batch(self, tmp_path: Path) -> None:
        """GNAP scales by the mean over the batch: a face has no embedding of its own."""
        shapes: Shapes = {
            key: shape for key, shape in PUBLISHED["mobilefacenet"][0].items() if "output_layer" not in key
        }
        shapes |= {f"output_layer.bn{n}.running_{part}": (512,) for n in (1, 2) for part in ("mean", "var")}
        with pytest.raises(FairLabError, match="ends in GNAP"):
            import_checkpoint(saved(tmp_path / "a.pth", {key: torch.ones(shape) for key, shape in shapes.items()}))

    def test_other_sizes_of_a_known_family(self, tmp_path: Path) -> None:
        """In its own words."""
        shapes = {
            key: shape for key, shape in PUBLISHED["mbf_large"][0].items() if not key.startswith("layers.5.layers.11.")
        }
        state: dict[str, Tensor] = {key: torch.ones(shape) for key, shape in shapes.items()}
        with pytest.raises(FairLabError, match=r"with \[2, 8, 11, 4\] blocks at 4 times 64 channels; known are mbf"):
            import_checkpoint(saved(tmp_path / "a.pth", state))


def test_settings_name_every_publisher() -> None:
    """The form and the command offer what the importer knows."""
    for name in PUBLISHERS:
        assert ModelFile(publisher=name).publisher == name  # type: ignore[arg-type]


def test_networks_of_files_are_not_offered_for_training() -> None:
    """They are known, so that files load; new runs choose among the others."""
    assert "magface_iresnet18" in BACKBONES
    assert "magface_iresnet18" not in backbones()
    assert "iresnet18" in backbones()
