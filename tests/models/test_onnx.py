"""ONNX networks: the same embeddings as torch's, and strangers' files refused before anything runs them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper
from onnx import onnx_ml_pb2 as official

from fairlab.config import Backbone
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models import onnx_file, protobuf
from fairlab.models.base import BACKBONES
from fairlab.models.onnx import check_batches, inspect_onnx, load_onnx, read_whole
from fairlab.models.protobuf import Reader, count
from tests.conftest import ROOT
from tests.fixtures.onnx_models import DIM, OPSET, PX, external, hostile, model, network, reference, tensor

GB = 10**9
SUB, MUL = ("Sub", 127.5), ("Mul", 1 / 128)


def written(path: Path, content: onnx.ModelProto | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def images(number: int, px: int = PX) -> torch.Tensor:
    return torch.randn(number, 3, px, px, generator=torch.Generator().manual_seed(number))


def edited(change: Callable[[onnx.ModelProto], Any], **more: Any) -> onnx.ModelProto:
    whole = network(**more)
    change(whole)
    return whole


def raw_output(dims: Sequence[int | str], name: str = "more") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that Python code opens during the test; a canary beside the code under test."""
    names: list[str] = []
    watching = [True]
    sys.addaudithook(lambda event, args: names.append(str(args[0])) if watching[0] and event == "open" else None)
    yield names
    watching[0] = False


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
            (lambda m: m.graph.input.append(raw_output(["N", 3, PX, PX])), r"one input, the image; it has 2: 'data' \[\?, 3, 16, 16\]"),
            (lambda m: m.graph.ClearField("input"), "one input, the image; it has 0: none"),
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
    @pytest.mark.parametrize("name", ["mobilefacenet", "iresnet18"])
    def test_our_own_backbones_come_back(self, tmp_path: Path, name: str) -> None:
        """As torch itself exports them: BatchNorm, PReLU, depthwise convolutions, thousands of fields."""
        torch.manual_seed(0)
        backbone = BACKBONES[name](Backbone(name=name, embedding_dim=32), 32).eval()
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


class TestReleased:
    """Files as exporters write them: the embeddings are those of the plain file."""

    @pytest.mark.parametrize("in_files", ["one", "each"])
    def test_weights_in_a_file_beside(self, tmp_path: Path, in_files: str) -> None:
        """torch's default since 2.9; written here by the package onnx, into one file or one for each tensor."""
        path, kept = tmp_path / "a.onnx", tmp_path / "kept" / "model.onnx"
        onnx.save(
            network(), path, save_as_external_data=True, all_tensors_to_one_file=in_files == "one", location="a.onnx.data"
            if in_files == "one" else None, size_threshold=0,
        )  # fmt: skip
        assert len(list(tmp_path.iterdir())) == (2 if in_files == "one" else 5)
        torch.testing.assert_close(load_onnx(path)(images(3)), reference(images(3)), rtol=1e-5, atol=1e-5)
        kept.parent.mkdir()
        kept.write_bytes(read_whole(path))  # whole, without the other files
        torch.testing.assert_close(load_onnx(kept)(images(3)), reference(images(3)), rtol=1e-5, atol=1e-5)
        onnx.checker.check_model(onnx.load(kept, load_external_data=False))

    def test_weights_beside_that_are_not_whole(self, tmp_path: Path) -> None:
        """A file of weights that ends too early, and one that asks for more than is declared."""
        path = tmp_path / "a.onnx"
        onnx.save(network(), path, save_as_external_data=True, location="w.data", size_threshold=0)
        data = (tmp_path / "w.data").read_bytes()
        (tmp_path / "w.data").write_bytes(data[:-5])
        with pytest.raises(Damaged, match=r"w\.data ends before the weights of 'fc\."):
            load_onnx(path)
        written(
            path, edited(lambda m: m.graph.initializer[3].CopyFrom(external("fc.b", "w.data", [DIM], length="4096")))
        )
        with pytest.raises(Damaged, match=f"declares {4 * DIM} bytes for 'fc.b' but names 4096"):
            load_onnx(path)

    def test_channels_last(self, tmp_path: Path) -> None:
        whole = network()
        whole.graph.node.insert(0, helper.make_node("Transpose", ["nhwc"], ["data"], perm=[0, 3, 1, 2]))
        whole.graph.input[0].CopyFrom(raw_output(["N", PX, PX, 3], "nhwc"))
        path = written(tmp_path / "a.onnx", whole)
        assert inspect_onnx(path).image_px == PX
        torch.testing.assert_close(load_onnx(path)(images(3)), reference(images(3)), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(("element", "name"), [(TensorProto.UINT8, "uint8"), (TensorProto.FLOAT16, "float16")])
    def test_other_pixels(self, tmp_path: Path, element: int, name: str) -> None:
        """Whole numbers 0..255, which the graph scales itself; half precision in and out."""
        whole = network()
        whole.graph.node.insert(0, helper.make_node("Cast", ["small"], ["data"], to=TensorProto.FLOAT))
        whole.graph.input[0].CopyFrom(helper.make_tensor_value_info("small", element, ["N", 3, PX, PX]))
        if name == "float16":
            whole.graph.node.append(helper.make_node("Cast", ["embedding"], ["half"], to=TensorProto.FLOAT16))
            whole.graph.output[0].CopyFrom(helper.make_tensor_value_info("half", TensorProto.FLOAT16, ["N", DIM]))
        path = written(tmp_path / "a.onnx", whole)
        facts = inspect_onnx(path)
        assert (facts.element, facts.normalised_inside) == (name, name == "uint8")
        pixels = (images(3) * 40 + 128).round().clamp(0, 255)
        tolerance = {"rtol": 2e-3, "atol": 0.5} if name == "float16" else {"rtol": 1e-5, "atol": 1e-3}
        found = load_onnx(path)(pixels)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, reference(pixels), **tolerance)

    @pytest.mark.parametrize("declared", [["N", DIM, 1, 1], None])
    def test_outputs_of_other_ranks(self, tmp_path: Path, declared: list[int | str] | None) -> None:
        """[N, D, 1, 1], as networks that end in a convolution give it; and an output without any shape."""
        whole = network()
        if declared:
            whole.graph.initializer.append(tensor("four", np.array([0, DIM, 1, 1])))
            whole.graph.node.append(helper.make_node("Reshape", ["embedding", "four"], ["deep"]))
            whole.graph.output[0].CopyFrom(raw_output(declared, "deep"))
        else:
            whole.graph.output[0].type.tensor_type.ClearField("shape")
        path = written(tmp_path / "a.onnx", whole)
        assert inspect_onnx(path).embedding_dim == (DIM if declared else None)
        torch.testing.assert_close(load_onnx(path)(images(3)), reference(images(3)), rtol=1e-5, atol=1e-5)

    def test_a_batch_of_one_inside(self, tmp_path: Path) -> None:
        """What insightface's torch2onnx makes of its MobileFaceNet: any batch at the input, (1, -1) inside."""
        whole = network()
        whole.graph.initializer.append(tensor("one", np.array([1, -1])))
        flatten = next(node for node in whole.graph.node if node.op_type == "Flatten")
        flatten.CopyFrom(helper.make_node("Reshape", ["r", "one"], ["f"]))
        built = load_onnx(written(tmp_path / "a.onnx", whole))
        torch.testing.assert_close(built(images(5)), reference(images(5)), rtol=1e-5, atol=1e-5)
        assert any("one at a time" in note for note in check_batches(built, PX))

    @pytest.mark.parametrize("seen", ["in the graph", "by trying"])
    def test_training_mode(self, tmp_path: Path, seen: str) -> None:
        """Batch norm over the batch: an image's embedding would hang on its neighbours."""
        whole = network()
        if seen == "in the graph":
            names = ("scale", "shift", "mean", "var")
            whole.graph.initializer.extend(tensor(name, np.ones(DIM, np.float32)) for name in names)
            node = helper.make_node("BatchNormalization", ["embedding", *names], ["normed", "m", "v"], training_mode=1)
            whole.graph.node.append(node)
            whole.graph.output[0].CopyFrom(raw_output(["N", DIM], "normed"))
        else:
            whole.graph.node.append(helper.make_node("ReduceMean", ["embedding"], ["m"], axes=[0], keepdims=1))
            whole.graph.node.append(helper.make_node("Sub", ["embedding", "m"], ["centred"]))
            whole.graph.output[0].CopyFrom(raw_output(["N", DIM], "centred"))
        path = written(tmp_path / "a.onnx", whole)
        with pytest.raises(FairLabError, match=r"in training mode.*export it again after model\.eval"):
            check_batches(load_onnx(path), PX)

    def test_dropout_that_is_on(self, tmp_path: Path) -> None:
        whole = network()
        whole.graph.initializer.extend([tensor("ratio", np.float32(0.5)), tensor("on", np.array(True))])
        whole.graph.node.append(helper.make_node("Dropout", ["embedding", "ratio", "on"], ["dropped"]))
        whole.graph.output[0].CopyFrom(raw_output(["N", DIM], "dropped"))
        with pytest.raises(FairLabError, match="in training mode"):
            check_batches(load_onnx(written(tmp_path / "a.onnx", whole)), PX)

    def test_unit_length_is_noted(self, tmp_path: Path) -> None:
        whole = network()
        whole.graph.node.append(helper.make_node("LpNormalization", ["embedding"], ["unit"], axis=1, p=2))
        whole.graph.output[0].CopyFrom(raw_output(["N", DIM], "unit"))
        assert any("length 1" in note for note in check_batches(load_onnx(written(tmp_path / "a.onnx", whole)), PX))
        plain = load_onnx(written(tmp_path / "b.onnx", network()))
        assert check_batches(plain, PX) == []

    def test_embeddings_of_millions_of_numbers(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="embeddings of 11,000,000 numbers"):
            inspect_onnx(
                written(
                    tmp_path / "a.onnx", edited(lambda m: m.graph.output[0].CopyFrom(raw_output(["N", 11_000_000])))
                )
            )

    def test_loops_are_refused(self, tmp_path: Path) -> None:
        body = helper.make_graph([], "body", [], [])
        loop = helper.make_node("Loop", ["", "", "embedding"], ["y"], body=body)
        with pytest.raises(Refused, match="a Loop, which may never end"):
            inspect_onnx(written(tmp_path / "a.onnx", edited(lambda m: m.graph.node.append(loop))))


class TestHostile:
    """S11. Every file is refused before onnxruntime is asked for and before any other file is opened."""

    @pytest.mark.parametrize("name", list(hostile("x")))
    def test_is_refused_and_nothing_else_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str], name: str
    ) -> None:
        """The file that it points to is a pipe: who opened it would wait for ever."""
        os.mkfifo(tmp_path / "canary")
        content, message = hostile("canary")[name]
        path = written(tmp_path / "a.onnx", content)
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        monkeypatch.chdir(tmp_path)
        opened.clear()
        start = time.process_time()
        for look in (inspect_onnx, load_onnx):
            with pytest.raises((Refused, Damaged), match=message) as error:
                look(path)
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)
        assert set(opened) == {str(path)}
        assert time.process_time() - start < 1

    def test_the_danger_is_real(self, tmp_path: Path) -> None:
        """Otherwise the tests above show nothing: given the path, onnxruntime itself reads the other file."""
        whole = network()
        whole.graph.initializer[3].CopyFrom(external("fc.b", "secret", [DIM]))
        path = written(tmp_path / "a.onnx", whole)
        secret = np.arange(DIM, dtype=np.float32) * 1000
        (tmp_path / "secret").write_bytes(secret.tobytes())
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        leaked = session.run(None, {"data": np.zeros((1, 3, PX, PX), np.float32)})[0]
        np.testing.assert_allclose(leaked[0], secret, atol=30)
        (tmp_path / "elsewhere").mkdir()
        moved = written(tmp_path / "elsewhere" / "a.onnx", path.read_bytes())
        with pytest.raises(FairLabError, match=r"in another file \(secret\), which is not beside it"):
            load_onnx(moved)
        (tmp_path / "elsewhere" / "secret").symlink_to(tmp_path / "secret")
        with pytest.raises(Refused, match="no plain file"):
            load_onnx(moved)

    def test_onnxruntime_gets_the_bytes_that_were_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that changes after the look changes nothing."""
        path = written(tmp_path / "a.onnx", network())
        whole = network()
        whole.graph.initializer[3].CopyFrom(tensor("fc.b", np.full(DIM, 9e9, np.float32)))
        real = onnxruntime.InferenceSession

        def late(*arguments: Any, **more: Any) -> Any:
            written(path, whole)
            return real(*arguments, **more)

        monkeypatch.setattr(onnxruntime, "InferenceSession", late)
        torch.testing.assert_close(load_onnx(path)(images(2)), reference(images(2)), rtol=1e-5, atol=1e-5)

    def test_onnxruntimes_own_format(self, tmp_path: Path) -> None:
        """A valid ONNX file may bear its mark; onnxruntime would read the rest as something else."""
        name = official.ModelProto(producer_name="xxORTM").SerializeToString()
        content = name + edited(lambda m: m.ClearField("producer_name")).SerializeToString()
        assert onnx.load_from_string(content).producer_name == "xxORTM"
        with pytest.raises(Refused, match="onnxruntime's own format"):
            inspect_onnx(written(tmp_path / "a.onnx", content))

    def test_more_than_1_gb(self, tmp_path: Path) -> None:
        """By its size alone."""
        path = written(tmp_path / "a.onnx", network())
        os.truncate(path, GB + 1)
        with pytest.raises(Refused, match=r"takes 1\.0 GB; at most 1 GB are read"):
            inspect_onnx(path)

    def test_a_type_of_two_kinds(self, tmp_path: Path) -> None:
        """Of several the last counts, to who knows that; here neither."""
        both = (
            network().graph.input[0].type.SerializeToString() + official.TypeProto(sequence_type={}).SerializeToString()
        )
        raw = b"\x0a\x04data\x12" + bytes([len(both)]) + both
        whole = network()
        whole.graph.ClearField("input")
        graph = whole.graph.SerializeToString() + b"\x5a" + bytes([len(raw)]) + raw
        whole.ClearField("graph")
        size = bytes([len(graph) & 127 | 128, len(graph) >> 7 & 127 | 128, len(graph) >> 14])
        content = whole.SerializeToString() + b"\x3a" + size + graph
        assert onnx.load_from_string(content).graph.input[0].type.WhichOneof("value") == "sequence_type"
        with pytest.raises(FairLabError, match="tensor_type and sequence_type"):
            inspect_onnx(written(tmp_path / "a.onnx", content))

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        """Missing, a folder, a pipe that would never end."""
        os.mkfifo(tmp_path / "pipe")
        for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "plain"), (tmp_path / "pipe", "plain")):
            with pytest.raises(FairLabError, match=message):
                inspect_onnx(path)

    def test_graphs_without_end(self, tmp_path: Path) -> None:
        """And more fields than any network has, in little time."""
        graph = helper.make_graph([], "g", [], [])
        for _ in range(25):
            graph = helper.make_graph([helper.make_node("If", ["y"], ["i"], then_branch=graph)], "g", [], [])
        with pytest.raises(Refused, match="more than 8 deep"):
            inspect_onnx(written(tmp_path / "a.onnx", model(graph)))
        start = time.process_time()
        nodes = official.ModelProto(graph=official.GraphProto(node=[official.NodeProto()] * 10**6))
        with pytest.raises(Refused, match="more than 500000 fields"):
            inspect_onnx(written(tmp_path / "b.onnx", nodes))
        assert time.process_time() - start < 5

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 100, b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99), b"<html>" * 9]
    )
    def test_what_is_no_onnx_file(self, tmp_path: Path, content: bytes) -> None:
        """Damaged, with the file."""
        with pytest.raises(Damaged, match=r"a\.onnx is not a whole ONNX model"):
            inspect_onnx(written(tmp_path / "a.onnx", content))


class TestWire:
    """The reader against the `onnx` package, which uses protobuf's own."""

    @pytest.mark.parametrize(
        "kind",
        [value for value in vars(onnx_file).values() if isinstance(value, protobuf.Message)],
        ids=lambda kind: kind.name,
    )
    def test_the_messages_are_those_of_onnx_proto(self, kind: protobuf.Message) -> None:
        """Every field: number, name, wire type, whether it may repeat."""
        there: Any = official
        for part in kind.name.split("."):
            there = getattr(there, part)
        wires = {1: protobuf.EIGHT, 2: protobuf.FOUR, 9: protobuf.BYTES, 11: protobuf.BYTES, 12: protobuf.BYTES}
        theirs = {
            f.number: (f.name, wires.get(f.type, protobuf.VARINT), f.is_repeated) for f in there.DESCRIPTOR.fields
        }
        assert {number: (f.name, f.wire, f.many) for number, f in kind.fields.items()} == theirs

    @pytest.mark.parametrize("packed", [True, False])
    def test_numbers(self, packed: bool) -> None:
        """Packed or not, both ends of 64 bits; counted without decoding."""
        numbers = [0, 1, -1, 127, 128, 2**63 - 1, -(2**63)]
        whole = official.TensorProto(int64_data=numbers, float_data=[1.5] * 3, double_data=[2.5] * 5)
        content = whole.SerializeToString()
        if not packed:  # as protobuf writes dims, whose field is not declared as packed
            content = official.TensorProto(dims=numbers).SerializeToString().replace(b"\x08", b"\x38")
            content += b"\x25abcd" * 3 + b"\x51abcdefgh" * 5
            assert list(official.TensorProto.FromString(content).int64_data) == numbers
        found = Reader(Path("a")).read(memoryview(content), onnx_file.TENSOR)
        assert Reader(Path("a")).integers(found["int64_data"], 7) == numbers
        assert [
            count(found[name], wire) for name, wire in (("int64_data", 0), ("float_data", 5), ("double_data", 1))
        ] == [7, 3, 5]
        with pytest.raises(Damaged, match="longer than 6"):
            Reader(Path("a")).integers(found["int64_data"], 6)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x12\x01a\x12\x01b", "name stands twice"),
            (b"\x98\x06\x01", "has no field 99"),
            (b"\x02\x01a", "has no field 0"),
            (b"\x13\x14", r"name is not written as it should be"),
            (b"\x10\x01", r"name is not written as it should be"),
            (b"\x12\x05abcd", "ends after its end"),
            (b"\x12" + b"\xff" * 9 + b"\x01", "ends after its end"),
            (b"\x12" + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
            (b"\x12" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
            (b"\x12", "cut off"),
            (b"\x92\x80\x80\x80\x10\x01a", r"has no field"),
        ],
    )
    def test_what_parsers_may_see_differently(self, content: bytes, message: str) -> None:
        """Twice, undeclared, groups, beyond the end, beyond 64 bits; the last is field 2 to who cuts tags to 32 bits."""
        with pytest.raises(Damaged, match=message):
            Reader(Path("a")).read(memoryview(content), onnx_file.GRAPH)


FLIPS = """
import sys, collections, torch
from pathlib import Path
from fairlab.errors import FairLabError
from fairlab.models.onnx import load_onnx
content, path, seen = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), collections.Counter()
for place in map(int, sys.argv[3:]):
    path.write_bytes(content[: place // 8] + bytes([content[place // 8] ^ 1 << place % 8]) + content[place // 8 + 1 :])
    try:
        load_onnx(path)(torch.zeros(2, 3, 16, 16))
        seen["fine"] += 1
    except FairLabError as error:
        seen["onnxruntime" if " by onnxruntime (" in str(error) or " be run on " in str(error) else "look"] += 1
        assert str(path) in str(error)
print(sum(seen.values()), dict(seen))
"""


class TestDamage:
    """R7: cut and flipped files."""

    @pytest.fixture
    def content(self) -> bytes:
        """Most of it is structure: weights of 3 kB would take most flips."""
        whole = network(inside=[SUB, MUL], pooled=True)
        return bytes(whole.SerializeToString())

    def test_200_cuts(self, tmp_path: Path, content: bytes) -> None:
        """Each is seen."""
        for length in random.Random(1).sample(range(len(content)), 200):
            start = time.process_time()
            with pytest.raises(FairLabError, match=r"a\.onnx"):
                inspect_onnx(written(tmp_path / "a.onnx", content[:length]))
            assert time.process_time() - start < 5

    def test_200_flips(self, tmp_path: Path, content: bytes) -> None:
        """Refused, or read as the `onnx` package reads it (a bit of a weight or a name is nothing that can be seen)."""
        accepted, messages = 0, list[str]()
        for place in random.Random(2).sample(range(8 * len(content)), 200):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            start = time.process_time()
            try:
                facts = inspect_onnx(written(tmp_path / "a.onnx", bytes(flipped)))
            except FairLabError as error:
                messages.append(str(error))
                continue
            finally:
                assert time.process_time() - start < 5
            accepted += 1
            try:
                theirs = onnx.load_from_string(bytes(flipped))
            except DecodeError:  # in fields that nothing here depends on, and so are not looked into
                continue
            assert facts.input_name in [value.name for value in theirs.graph.input]
            assert facts.output_name == theirs.graph.output[0].name
            assert facts.opset == theirs.opset_import[0].version
            assert not any(part.external_data or part.data_location for part in theirs.graph.initializer)
            assert not any(node.domain not in ("", "ai.onnx", "ai.onnx.ml") for node in theirs.graph.node)
        assert 20 < accepted < 180
        assert len(messages) == 200 - accepted
        assert all("a.onnx" in message for message in messages)

    def test_50_flips_in_onnxruntime(self, tmp_path: Path, content: bytes) -> None:
        """In a child: what the look lets through, onnxruntime runs or refuses in our words; it neither dies nor prints."""
        places = map(str, random.Random(3).sample(range(8 * len(content)), 50))
        source = written(tmp_path / "a.onnx", content)
        command = [sys.executable, "-c", FLIPS, str(source), str(tmp_path / "b.onnx"), *places]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr[-2000:]
        assert result.stdout.startswith("50 "), result.stdout
        assert all(kind in result.stdout for kind in ("fine", "look", "onnxruntime")), result.stdout
        assert result.stderr == ""
