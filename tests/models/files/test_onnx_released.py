"""ONNX files as exporters write them: the embeddings are those of the plain file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.onnx import check_batches, inspect_onnx, load_onnx, read_whole
from tests.fixtures.onnx_models import (
    DIM,
    PX,
    edited,
    external,
    images,
    network,
    raw_output,
    reference,
    tensor,
    written,
)


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
