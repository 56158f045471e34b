"""Published checkpoints under every wrapper and prefix become our backbones, or an error that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import sha256
from fairlab.models.base import BACKBONES
from fairlab.models.files.checkpoints import load_learner, save_model
from fairlab.models.files.importing import import_checkpoint, import_head
from fairlab.models.files.layouts import recognise
from fairlab.models.preprocessing import Preprocessing, preprocessing_from_json, preprocessing_of
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone

DIM, PX = 6, 32
FAMILIES = ("iresnet18", "ir_18", "mbf", "mobilefacenet")
State = dict[str, Tensor]


@cache
def network(name: str = "mobilefacenet") -> nn.Module:
    """With running statistics that are not the initial ones, in evaluation mode. Do not change it."""
    torch.manual_seed(3)
    built = BACKBONES[name](Backbone(name=name, embedding_dim=DIM), PX)
    for module in built.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    built(torch.randn(8, 3, PX, PX))
    return built.eval()


def state(name: str = "mobilefacenet", prefix: str = "") -> State:
    return {prefix + key: tensor.clone() for key, tensor in network(name).state_dict().items()}


def saved(path: Path, content: Any, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_same(path: Path, name: str = "mobilefacenet") -> Any:
    """The import is that network, by name and by its embeddings."""
    imported = import_checkpoint(path)
    assert imported.backbone == Backbone(name=name, embedding_dim=DIM)
    assert imported.image_px == imported.preprocessing.image_px == PX
    assert imported.sha256 == sha256(path)
    images = torch.randn(2, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(imported.network()(images), network(name)(images))
    return imported


class TestRoundTrips:
    """Identical embeddings after the way through a file."""

    @pytest.mark.parametrize("name", FAMILIES)
    @pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
    def test_every_family_in_every_format(self, tmp_path: Path, name: str, form: str) -> None:
        """A plain state dict."""
        if form == "safetensors":
            save_file(state(name), tmp_path / "model.safetensors")
            imported = assert_same(tmp_path / "model.safetensors", name)
        else:
            imported = assert_same(saved(tmp_path / "backbone.pth", state(name), form == "legacy"), name)
        assert imported.head is None
        assert imported.notes == ()

    @pytest.mark.parametrize(
        "wrapper", ["state_dict_backbone", "state_dict", "model_state_dict", "model", "backbone", "net"]
    )
    @pytest.mark.parametrize("legacy", [False, True])
    def test_every_wrapper(self, tmp_path: Path, wrapper: str, legacy: bool) -> None:
        """With what else a training loop stores."""
        content = {"epoch": 3, wrapper: state(), "arch": "r50"}
        imported = assert_same(saved(tmp_path / "checkpoint.pt", content, legacy))
        assert f"unwrapped {wrapper}" in imported.notes

    def test_wrappers_around_each_other(self, tmp_path: Path) -> None:
        """Until tensors are reached."""
        assert_same(saved(tmp_path / "a.ckpt", {"model": {"state_dict": state()}, "state_dict": 5}))

    @pytest.mark.parametrize(
        "prefix",
        ["module.", "backbone.", "model.", "net.", "features.module.", "feat_net.", "encoder.", "module.backbone.",
         "model.net.", "_orig_mod.module."],
    )  # fmt: skip
    def test_every_prefix(self, tmp_path: Path, prefix: str) -> None:
        """Of DataParallel, FaceX-Zoo, AdaFace, CVLface, MagFace and others; MobileFaceNet's own `model.` stays."""
        save_file(state(prefix=prefix), tmp_path / "a.safetensors")
        imported = assert_same(tmp_path / "a.safetensors")
        assert f"removed the prefix {prefix} from the keys" in imported.notes

    @pytest.mark.parametrize(
        ("name", "dim", "px"),
        [
            pytest.param(name, dim, px, marks=pytest.mark.slow if files_only and deep else ())
            for name in BACKBONES
            # no files; files of Keras; keys of iResNet; embeddings of one length
            if not name.startswith(("tiny", "patch_echo", "ghostfacenet_", "magface_", "timm_vit_"))
            for files_only, deep in [(BACKBONES.facts(name).get("files_only"), name.endswith(("01", "00", "52", "85")))]
            for dim, px in [(512, 112), (256, 224)][: 1 if files_only or name.startswith("edgeface_") else 2]
        ],
    )
    def test_every_depth_is_recognised(self, name: str, dim: int, px: int) -> None:
        """From keys and shapes alone."""
        settings = Backbone(name=name, embedding_dim=dim)
        with shapes_only():
            built = BACKBONES[name](settings, px)
        found = recognise({key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}, "a file")
        assert found is not None
        assert (found.backbone, found.image_px) == (settings, px)

    def test_half_precision_becomes_float32(self, tmp_path: Path) -> None:
        """And is noted."""
        halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state().items()}
        imported = import_checkpoint(saved(tmp_path / "a.pt", halves))
        assert {tensor.dtype for tensor in imported.tensors.values()} == {torch.float32, torch.int64}
        assert "stored as float16, converted to float32" in imported.notes

    def test_counters_of_batches_may_be_missing(self, tmp_path: Path) -> None:
        """Files of torch before 0.4.1 have none."""
        content = {key: tensor for key, tensor in state().items() if not key.endswith("num_batches_tracked")}
        assert any(
            "num_batches_tracked were missing" in note for note in assert_same(saved(tmp_path / "a.pt", content)).notes
        )

    def test_the_import_no_longer_needs_the_file(self, tmp_path: Path) -> None:
        """Weights are copies, not views of a mapped file."""
        path = saved(tmp_path / "a.pt", state())
        imported = import_checkpoint(path)
        before = {key: tensor.clone() for key, tensor in imported.tensors.items()}
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.write(bytes(len(content)))
        assert all(torch.equal(tensor, before[key]) for key, tensor in imported.tensors.items())

    def test_it_can_be_kept_as_our_own(self, tmp_path: Path) -> None:
        """Saved and loaded as any network of ours; iResNet's frozen weight is frozen still."""
        imported = import_checkpoint(saved(tmp_path / "a.pt", state("iresnet18")))
        built = imported.network()
        assert not built.get_parameter("features.weight").requires_grad
        assert built.get_parameter("fc.weight").requires_grad
        facts = {
            "kind": "backbone",
            "settings": imported.backbone.model_dump(mode="json"),
            "image_px": imported.image_px,
        }
        save_model(tmp_path / "weights", built, None, facts)
        images = torch.randn(1, 3, PX, PX)
        assert torch.equal(load_learner(tmp_path / "weights")[0](images), network("iresnet18")(images))


class TestHeads:
    """Class centres (classes, dim), whichever way round they were stored."""

    centres = torch.randn(9, DIM, generator=torch.Generator().manual_seed(2))

    @pytest.mark.parametrize(
        "content",
        [
            lambda c: {"state_dict_backbone": state(), "state_dict_softmax_fc": {"weight": c}, "epoch": 1},
            lambda c: {"state_dict": state(prefix="backbone.") | {"head.weight": c}, "epoch": 1, "batch_id": 2},
            lambda c: {
                "state_dict": state(prefix="model.") | {"head.kernel": c.t().contiguous(), "head.t": torch.ones(1)}
            },
            lambda c: state(prefix="module.backbone.") | {"module.head.kernel": c.t()},
            lambda c: state() | {"kernel": c.t()},
            lambda c: state() | {"weight": c},
            lambda c: {"backbone": state(), "head": {"weight": c.t()}},
        ],
    )
    def test_found_beside_the_backbone(self, tmp_path: Path, content: Callable[[Tensor], Any]) -> None:
        """In every place where code bases put it."""
        imported = assert_same(saved(tmp_path / "a.pt", content(self.centres)))
        assert torch.equal(imported.head, self.centres)
        assert any("of 9 identities" in note for note in imported.notes)

    @pytest.mark.parametrize(
        "content",
        [
            lambda c: {"kernel": c.t()},
            lambda c: {"weight": c},
            lambda c: {"weight": c.t()},
            lambda c: c,
            lambda c: {"state_dict": {"module.head.weight": c, "module.head.t": torch.ones(1)}},
            lambda c: {"state_dict_backbone": state(), "state_dict_softmax_fc": {"weight": c}},
            lambda c: state(prefix="model.") | {"head.kernel": c.t()},
        ],
    )
    def test_in_a_file_of_its_own(self, tmp_path: Path, content: Callable[[Tensor], Any]) -> None:
        """header.pth of ElasticFace, rank_0_softmax_weight.pt of early PartialFC, and others."""
        assert torch.equal(import_head(saved(tmp_path / "header.pth", content(self.centres)), DIM), self.centres)

    def test_a_square_head_is_turned_by_its_name(self, tmp_path: Path) -> None:
        """As many identities as dims: the shape cannot tell."""
        square = torch.randn(DIM, DIM)
        assert torch.equal(import_head(saved(tmp_path / "a.pt", {"kernel": square}), DIM), square.t())
        assert torch.equal(import_head(saved(tmp_path / "a.pt", {"weight": square}), DIM), square)

    def test_parts_of_several_ranks_are_put_together(self, tmp_path: Path) -> None:
        """In the given order."""
        parts = [saved(tmp_path / f"rank_{n}.pt", {"weight": part}) for n, part in enumerate(self.centres.split(4))]
        assert torch.equal(import_head(parts, DIM), self.centres)

    def test_a_head_of_another_length(self, tmp_path: Path) -> None:
        """Alone it is an error; beside a backbone it is left out and said."""
        path = saved(tmp_path / "a.pt", {"kernel": torch.randn(7, 9)})
        with pytest.raises(FairLabError, match=r"no single head for embeddings of 6: kernel \[7, 9\]"):
            import_head(path, DIM)
        imported = assert_same(saved(tmp_path / "b.pt", state() | {"kernel": torch.randn(7, 9)}))
        assert imported.head is None
        assert any("kernel [7, 9]" in note for note in imported.notes)

    def test_a_head_is_no_backbone(self, tmp_path: Path) -> None:
        """The message says what it is."""
        with pytest.raises(FairLabError, match=r"holds a head \(kernel\) and no backbone"):
            import_checkpoint(saved(tmp_path / "header.pth", {"kernel": self.centres.t()}))


class TestMisfits:
    """One sentence that names keys; never a network with some weights at random."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: s.pop("conv_3.model.0.conv.conv.weight"), r"missing: conv_3\.model\.0\.conv\.conv\.weight$"),
            (lambda s: s.pop("conv1.bn.running_var"), r"missing: conv1\.bn\.running_var$"),
            (lambda s: s.update({"extra.weight": torch.ones(2)}), r"not known: extra\.weight$"),
            (
                lambda s: s.update({"conv1.prelu.weight": torch.ones(1)}),
                r"other shape: conv1\.prelu\.weight is \[1\] of float32, not \[64\] of float32$",
            ),
            (lambda s: s.update({"conv1.prelu.weight": torch.ones(64, dtype=torch.int8)}), r"is \[64\] of int8"),
            (lambda s: [s.pop(key) for key in list(s) if key.startswith("conv_4.")], r"missing: .* \(102 in all\)$"),
            (lambda s: s["conv1.conv.weight"].view(-1)[0:1].fill_(torch.nan), r"not finite: conv1\.conv\.weight$"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path: Path, change: Callable[[State], Any], message: str) -> None:
        """Missing, unknown, of another shape or kind, not a number."""
        content = state()
        change(content)
        with pytest.raises(FairLabError, match=message) as error:
            import_checkpoint(saved(tmp_path / "a.pt", content))
        assert str(tmp_path / "a.pt") in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"conv1.weight": torch.ones(64, 3, 7, 7), "layer1.0.bn1.weight": torch.ones(64), "fc.weight": torch.ones(5, 9)},
             r"conv1\.weight is there, but not prelu\.weight"),
            ({"patch_embed.proj.weight": torch.ones(3, 4)}, r"none of the known backbones .*found: patch_embed\.proj\.weight \(1 keys\)"),
            ({f"blocks.{n}.weight": torch.ones(2) for n in range(9)}, r"blocks\.4\.weight \.\.\. \(9 keys\)"),
            ({"epoch": 3, "optimizer": {}}, r"found: no tensors"),
            ({}, r"found: no tensors"),
        ],
    )  # fmt: skip
    def test_another_architecture_is_said_as_such(self, tmp_path: Path, content: Any, message: str) -> None:
        """What was looked for, what is there."""
        with pytest.raises(FairLabError, match=message) as error:
            import_checkpoint(saved(tmp_path / "a.pt", content))
        assert "iresnet: conv1.weight" in str(error.value)

    def test_two_backbones_are_not_chosen_between(self, tmp_path: Path) -> None:
        """Student and teacher in one file."""
        with pytest.raises(FairLabError, match=r"more than one backbone \(backbone\., model\.\)"):
            import_checkpoint(saved(tmp_path / "a.pt", state(prefix="model.") | state(prefix="backbone.")))

    def test_what_stands_beside_the_prefix_is_named(self, tmp_path: Path) -> None:
        """Only a head may."""
        with pytest.raises(FairLabError, match=r"under backbone\. and a head: decoder\.weight$"):
            import_checkpoint(
                saved(tmp_path / "a.pt", state(prefix="backbone.") | {"decoder.weight": torch.ones(2, 2)})
            )

    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            (
                "iresnet18",
                ("layer1.2.bn1.weight", (64,)),
                r"iresnet of \[3, 2, 2, 2\] blocks; known are 18: \[2, 2, 2, 2\]",
            ),
            (
                "iresnet18",
                ("fc.weight", (6, 512 * 42)),
                r"fc\.weight has the shape \[6, 21504\], which no square image",
            ),
            ("ir_18", ("body.8.res_layer.1.weight", (512, 512, 3, 3)), r"ir of 9 units; known are 18: 8"),
            ("ir_18", ("output_layer.3.weight", (6, 512 * 42)), r"which no square image"),
            ("mbf", ("features.layers.0.layers.0.weight", (512, 1, 7, 6)), r"which no square image"),
        ],
    )
    def test_other_depths_and_sizes(self, name: str, change: tuple[str, tuple[int, ...]], message: str) -> None:
        """Of a known family."""
        shapes = {key: tuple(tensor.shape) for key, tensor in network(name).state_dict().items()}
        with pytest.raises(FairLabError, match=message):
            recognise(shapes | dict([change]), "a file")

    @pytest.mark.parametrize("name", ["checkpoint.pth.tar", "pytorch_model.bin", "MODEL.PTH", "model.pkl", "weights"])
    def test_the_name_does_not_matter(self, tmp_path: Path, name: str) -> None:
        """The content does: CurricularFace and others write .pth.tar, Hugging Face .bin."""
        assert_same(saved(tmp_path / name, state()))
        save_file(state(), tmp_path / name)
        assert_same(tmp_path / name)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        """In one sentence."""
        for name in ("a.pt", "a.safetensors"):
            with pytest.raises(FairLabError, match="does not exist"):
                import_checkpoint(tmp_path / name)

    @pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
    @pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.99])
    def test_cut_files(self, tmp_path: Path, form: str, keep: float) -> None:
        """Damaged, never a traceback of torch."""
        path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pt")
        if form == "safetensors":
            save_file(state(), path)
        else:
            saved(path, state(), form == "legacy")
        content = path.read_bytes()
        path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
        with pytest.raises(FairLabError, match=r"a\.(pt|safetensors)"):
            import_checkpoint(path)


class TestPreprocessing:
    """A record beside every checkpoint."""

    @pytest.mark.parametrize(
        ("name", "extra", "channels", "std", "flip", "confirm"),
        [
            ("iresnet18", {}, "RGB", 127.5, "sum", ()),
            ("mbf", {}, "RGB", 127.5, "sum", ()),
            ("mobilefacenet", {}, "RGB", 127.5, "sum", ()),
            ("mobilefacenet", {"batch_id": 7}, "BGR", 128.0, "none", ()),
            ("ir_18", {}, "RGB", 127.5, "sum", ("channels",)),
            ("ir_18", {"head": {"batch_mean": torch.ones(1), "kernel": torch.ones(6, 3)}}, "BGR", 127.5, "sum", ()),
        ],
    )
    def test_default_of_each_publisher(
        self,
        tmp_path: Path,
        name: str,
        extra: dict[str, Any],
        channels: str,
        std: float,
        flip: str,
        confirm: tuple[str, ...],
    ) -> None:
        """As each code base has it; where the keys cannot tell, the user is asked."""
        imported = import_checkpoint(saved(tmp_path / "a.pt", {"state_dict": state(name), **extra}))
        record = imported.preprocessing
        assert (record.channels, record.std, record.flip, imported.confirm) == (channels, (std,) * 3, flip, confirm)
        assert record.mean == (127.5,) * 3
        assert record.l2

    def test_survives_json(self) -> None:
        """Out and in."""
        record = preprocessing_of("facex_zoo", 112)
        assert preprocessing_from_json(record.to_json(), "a record") == record

    @pytest.mark.parametrize(
        "fault", [{"channels": "GRB"}, {"std": [1, 0, 1]}, {"mean": [1, 2]}, {"colour": 1}, {"flip": "yes"}]
    )
    def test_a_wrong_record_is_refused(self, fault: dict[str, Any]) -> None:
        """Naming the field."""
        with pytest.raises(FairLabError, match=f"a record.*{next(iter(fault))}"):
            preprocessing_from_json(Preprocessing().to_json() | fault, "a record")

    def test_an_unknown_publisher(self) -> None:
        """Names the known ones."""
        with pytest.raises(FairLabError, match="choose one of: adaface, cavaface"):
            preprocessing_of("nobody", 112)


def test_damaged_is_an_error_of_the_user() -> None:
    assert issubclass(Damaged, FairLabError)
