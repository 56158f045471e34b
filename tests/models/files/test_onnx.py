"""ONNX networks: what a file says of itself, and the same embeddings as torch's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.models.files.onnx import inspect_onnx, load_onnx
from fairlab.settings.backbone import backbone_settings
from tests.fixtures.onnx_models import (
    DIM,
    OPSET,
    PX,
    edited,
    images,
    network,
    raw_output,
    reference,
    tensor,
    written,
)

SUB, MUL = ("Sub", 127.5), ("Mul", 1 / 128)

SMALL: dict[str, dict[str, Any]] = {"patch_echo": {"patch_px": 8, "token_dim": 8, "units": 24}}
"""Of networks that have settings of their own."""


class TestFacts:
    """What the file says, without running it."""

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, (PX, DIM, None, False)),
            ({"batch": 1}, (PX, DIM, 1, False)),
            ({"batch": 4, "dim": "D"}, (PX, None, 4, False)),
            ({"px": "P", "pooled": True}, (None, DIM, None, False)),
            ({"shape": ["N", 3, PX, "W"]}, (PX, DIM, None, False)),
            ({"inside": [SUB, MUL]}, (PX, DIM, None, True)),
            ({"inside": [SUB, ("Div", 128.0)]}, (PX, DIM, None, True)),
            ({"inside": [MUL, SUB]}, (PX, DIM, None, True)),
            ({"inside": [SUB]}, (PX, DIM, None, False)),
            ({"inside": [MUL]}, (PX, DIM, None, False)),
            ({"weights_as_inputs": True}, (PX, DIM, None, False)),
        ],
    )
    def test_are_those_of_the_onnx_package(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], expected: tuple[Any, ...]
    ) -> None:
        """And neither package is needed to find them."""
        path = written(tmp_path / "a.onnx", network(**more))
        loaded = onnx.load(path)
        onnx.checker.check_model(loaded)
        for name in ("onnx", "onnxruntime"):
            monkeypatch.setitem(sys.modules, name, None)
        facts = inspect_onnx(path)
        assert (facts.image_px, facts.embedding_dim, facts.batch, facts.normalised_inside) == expected
        assert (facts.input_name, facts.output_name) == (loaded.graph.input[0].name, loaded.graph.output[0].name)
        assert facts.opset == loaded.opset_import[0].version == OPSET
        image = [dim.dim_value or None for dim in loaded.graph.input[0].type.tensor_type.shape.dim]
        assert (facts.batch, facts.image_px) == (image[0], image[2])

    @pytest.mark.parametrize(
        ("more", "note"),
        [
            ({"batch": 1}, "in batches of 1"),
            ({"px": "P", "pooled": True}, "images of any size"),
            ({"dim": "D"}, "how long an embedding is"),
            ({"inside": [SUB, MUL]}, "mean 0 and std 1"),
        ],
    )
    def test_what_the_user_should_know_is_noted(self, tmp_path: Path, more: dict[str, Any], note: str) -> None:
        """One sentence each; a plain network has none."""
        (found,) = inspect_onnx(written(tmp_path / "a.onnx", network(**more))).notes
        assert note in found
        assert inspect_onnx(written(tmp_path / "b.onnx", network())).notes == ()

    @pytest.mark.parametrize("position", [0, 9])
    def test_only_the_image_itself_counts_as_normalised(self, tmp_path: Path, position: int) -> None:
        """`constant - image` is no normalisation, nor are a Sub and Mul elsewhere in the graph."""
        whole = network(inside=[SUB, MUL])
        if position == 0:
            whole.graph.node[0].input[:] = ["Sub.c", "data"]
        else:
            nodes = [*network().graph.node]
            for node, (old, new) in (
                (whole.graph.node[0], ("data", "r")),
                (whole.graph.node[1], ("Sub.out", "Sub.out")),
            ):
                node.input[:] = [new if name == old else name for name in node.input]
                nodes.append(node)
            del whole.graph.node[:]
            whole.graph.node.extend(nodes)
        assert not inspect_onnx(written(tmp_path / "a.onnx", whole)).normalised_inside

    def test_norms_beside_the_embedding(self, tmp_path: Path) -> None:
        """AdaFace returns both; what is left out is noted."""
        whole = edited(lambda m: m.graph.output.extend([raw_output(["N", 1], "norm"), raw_output(["N", 4, 8, 8], "r")]))
        facts = inspect_onnx(written(tmp_path / "a.onnx", whole))
        assert facts.output_name == "embedding"
        assert facts.notes == ("outputs that are left out: 'norm' [?, 1] of float32; 'r' [?, 4, 8, 8] of float32",)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda m: m.graph.input.append(raw_output(["N", 3, PX, PX])), r"one input, the image, or a second one for landmarks, .*; it has 2: 'data' \[\?, 3, 16, 16\]"),
            (lambda m: m.graph.ClearField("input"), "one input, the image, .*; it has 0: none"),
            (lambda m: m.graph.output.append(raw_output(["N", 5])), "one output of embeddings .* it has 2 among"),
            (lambda m: m.graph.ClearField("output"), "it has 0 among none"),
            (lambda m: m.graph.output[0].CopyFrom(raw_output(["N", 8, 2, 1])), "it has 0 among 'more'"),
            (lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), r"must take images \[batch, 3, height, width\]"),
            (lambda m: m.graph.input[0].type.ClearField("tensor_type"), "no type"),
            (lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.ClearField("shape"), r"'data' \[\] of sequence_type"),
            (lambda m: m.ClearField("opset_import"), "which version of the operators"),
            (lambda m: m.ClearField("graph"), "it holds no graph"),
        ],
    )  # fmt: skip
    def test_another_network_is_said_as_such(self, tmp_path: Path, change: Any, message: str) -> None:
        """What it must be, and what it is."""
        with pytest.raises(FairLabError, match=message):
            inspect_onnx(written(tmp_path / "a.onnx", edited(change)))

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"element": TensorProto.DOUBLE}, "images of float32.*, not 'data' .* of float64; export it in float32"),
            ({"element": TensorProto.INT8}, "not 'data' .* of int8"),
            ({"shape": ["N", PX, 3, PX]}, "colour images"),
            ({"shape": ["N", 1, PX, PX]}, "colour images"),
            ({"shape": ["N", "C", PX, PX]}, "colour images"),
            ({"shape": [3, PX, PX]}, r"not 'data' \[3, 16, 16\]"),
            ({"shape": ["N", 3, PX, 20]}, "square images"),
            ({"shape": ["N", 3, 10**5, 10**5]}, "at most 4096 pixels"),
            ({"batch": 10**6}, "at most 1024 at a time"),
            ({"shape": ["N", 3, 0, 0]}, "has the size 0"),
            ({"shape": ["N", 3, -1, -1]}, "has the size -1"),
        ],
    )
    def test_another_input_is_said_as_such(self, tmp_path: Path, more: dict[str, Any], message: str) -> None:
        """Type, layout, size."""
        path = written(tmp_path / "a.onnx", network(**more))
        with pytest.raises(FairLabError, match=message) as error:
            inspect_onnx(path)
        assert str(path) in str(error.value)


class TestRuns:
    """Through onnxruntime, and the same as torch."""

    @pytest.mark.parametrize("inside", [[], [SUB, MUL], [MUL, SUB]])
    @pytest.mark.parametrize("batch", ["N", 1, 4])
    def test_the_embeddings_are_torchs(self, tmp_path: Path, batch: int | str, inside: list[tuple[str, float]]) -> None:
        """Also in pieces of a fixed size, for fewer and more images than that, and for none."""
        built = load_onnx(written(tmp_path / "a.onnx", network(batch=batch, inside=inside)))
        for number in (0, 1, 4, 7):
            pixels = images(number) * (50 if inside else 1) + (127 if inside else 0)
            expected = reference(pixels, inside)
            assert built(pixels).shape == (number, DIM)
            assert built(pixels).dtype == torch.float32
            torch.testing.assert_close(built(pixels), expected, rtol=1e-5, atol=1e-5)

    def test_images_of_any_size(self, tmp_path: Path) -> None:
        """Where the file leaves it open."""
        built = load_onnx(written(tmp_path / "a.onnx", network(px="P", pooled=True)))
        for px in (16, 24, 40):
            torch.testing.assert_close(
                built(images(3, px)), reference(images(3, px), pooled=True), rtol=1e-5, atol=1e-5
            )

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("name", ["mobilefacenet", "iresnet18", "patch_echo"])
    def test_our_own_backbones_come_back(self, tmp_path: Path, name: str) -> None:
        """As torch itself exports them: BatchNorm, PReLU, depthwise convolutions, thousands of fields."""
        torch.manual_seed(0)
        backbone = BACKBONES[name](backbone_settings(name, embedding_dim=32, **SMALL.get(name, {})), 32).eval()
        axes = {"x": {0: "N"}, "y": {0: "N"}}
        torch.onnx.export(backbone, (images(1, 32),), tmp_path / "a.onnx", input_names=["x"], output_names=["y"],
                          dynamic_axes=axes, dynamo=False)  # fmt: skip
        facts = inspect_onnx(tmp_path / "a.onnx")
        assert (facts.image_px, facts.embedding_dim, facts.batch, facts.notes) == (32, 32, None, ())
        with torch.no_grad():
            expected = backbone(images(5, 32))
        unit, expected_unit = (
            torch.nn.functional.normalize(v) for v in (load_onnx(tmp_path / "a.onnx")(images(5, 32)), expected)
        )
        torch.testing.assert_close(unit, expected_unit, rtol=1e-5, atol=1e-5)

    def test_it_is_a_frozen_module(self, tmp_path: Path) -> None:
        """No parameters, no gradient, and it may be moved and set like any other."""
        built = load_onnx(written(tmp_path / "a.onnx", network())).to("cpu").train().eval().to(torch.float16)
        pixels = images(2).requires_grad_()
        assert not list(built.parameters())
        assert not built(pixels).requires_grad
        assert built(pixels.to(memory_format=torch.channels_last)).equal(built(pixels))
        assert built(pixels.double()).dtype == torch.float32

    def test_the_same_bits_every_time(self, tmp_path: Path) -> None:
        """Within a session and between sessions, with two threads too."""
        path = written(tmp_path / "a.onnx", network())
        for threads in (1, 2):
            first, second = load_onnx(path, threads), load_onnx(path, threads, cuda=True)
            assert all(first(images(6)).equal(other(images(6))) for other in (first, second, second))
            assert first.provider == "CPUExecutionProvider"

    @pytest.mark.parametrize("shape", [(2, 1, PX, PX), (2, 3, 20, 20), (3, PX, PX), (2, 3, PX, PX + 1)])
    def test_other_images_are_said_as_such(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        """With the shape that would be right."""
        path = written(tmp_path / "a.onnx", network())
        with pytest.raises(FairLabError, match=r"a\.onnx takes images \(B, 3, 16, 16\), not \("):
            load_onnx(path)(torch.zeros(shape))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_embeddings_that_are_not_finite(self, tmp_path: Path, value: float) -> None:
        """Name the file."""
        bias = tensor("fc.b", np.full(DIM, value, np.float32))
        path = written(tmp_path / "a.onnx", edited(lambda m: m.graph.initializer[3].CopyFrom(bias)))
        with pytest.raises(FairLabError, match=r"a\.onnx returned embeddings that are not finite"):
            load_onnx(path)(images(2))

    def test_embeddings_of_another_shape(self, tmp_path: Path) -> None:
        """All images in one row: what a graph traced with one image may do."""
        whole = network(dim="D")
        whole.graph.initializer.append(tensor("one", np.array([1, -1])))
        whole.graph.node.append(helper.make_node("Reshape", ["embedding", "one"], ["row"]))
        whole.graph.output[0].CopyFrom(raw_output(["N", "D"], "row"))
        built = load_onnx(written(tmp_path / "a.onnx", whole))
        assert built(images(1)).shape == (1, DIM)
        torch.testing.assert_close(built(images(2)), reference(images(2)), rtol=1e-5, atol=1e-5)
        assert built.one_at_a_time

    def test_a_graph_that_cannot_run(self, tmp_path: Path) -> None:
        """Onnxruntime's reason in one line, the file before it, nothing printed."""
        whole = network(px="P")  # a fully connected layer for 16 pixels
        with pytest.raises(FairLabError, match=r"a\.onnx could not be run on images \(2, 3, 24, 24\) \(.*\)$") as error:
            load_onnx(written(tmp_path / "a.onnx", whole))(images(2, 24))
        assert "ONNXRuntimeError" not in str(error.value)
        wrong = edited(lambda m: m.graph.node.append(helper.make_node("NoSuchOperator", ["r"], ["z"])))
        with pytest.raises(FairLabError, match=r"b\.onnx could not be loaded by onnxruntime \(.*NoSuchOperator"):
            load_onnx(written(tmp_path / "b.onnx", wrong))

    def test_without_onnxruntime(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """How to get it."""
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(FairLabError, match=r"install it with: pip install 'fairlab\[onnx\]'$"):
            load_onnx(written(tmp_path / "a.onnx", network()))
