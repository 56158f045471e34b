"""ONNX networks that take landmarks beside the image: which inputs are landmarks, and that they come out as they went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import TensorProto

from fairlab.errors import FairLabError
from fairlab.models.files.onnx import OnnxNetwork, check_batches, inspect_onnx, load_onnx
from tests.fixtures.onnx_models import PX, with_landmarks
from tests.models.waves import images, wave

POINTS = 0.5 + 0.4 * wave((5, 5, 2), 1.1)


def network(path: Path, **more: Any) -> OnnxNetwork:
    path.write_bytes(with_landmarks(**more).SerializeToString())
    return load_onnx(path)


@pytest.mark.parametrize(
    "more",
    [{}, {"first": True}, {"dims": (10,)}, {"element": TensorProto.FLOAT16}, {"batch": 1}, {"batch": 4}, {"dims": (5, 2), "first": True, "batch": 3}],
)  # fmt: skip
def test_the_landmarks_reach_the_graph(tmp_path: Path, more: dict[str, Any]) -> None:
    """The graph gives the mean of the image, then x and y of five points, image by image."""
    built = network(tmp_path / "a.onnx", **more)
    assert built.takes_landmarks
    assert any("takes the landmarks of each face too" in note for note in built.facts.notes)
    embeddings = built(images(5, PX), POINTS)
    tolerance = 1e-3 if more.get("element") else 1e-6
    torch.testing.assert_close(embeddings[:, 0], images(5, PX).mean((1, 2, 3)))
    torch.testing.assert_close(embeddings[:, 1:], POINTS.flatten(1), rtol=0, atol=tolerance)
    assert not any("training" in note for note in check_batches(built, PX))


@pytest.mark.parametrize("landmarks", [None, POINTS[:4], POINTS[:, :4]])
def test_landmarks_that_are_missing(tmp_path: Path, landmarks: torch.Tensor | None) -> None:
    with pytest.raises(FairLabError, match=r"a\.onnx takes landmarks \(5, 5, 2\) beside the images, not"):
        network(tmp_path / "a.onnx")(images(5, PX), landmarks)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"dims": (68, 2)}, r"a second one for landmarks, \[batch, 5, 2\] or \[batch, 10\]; it has 2: 'images'.*'keypoints' \[\?, 68, 2\]"),
        ({"dims": ("L", 2)}, "a second one for landmarks"),
        ({"element": TensorProto.INT64}, r"must take landmarks of float32 or float16, as many as images, not 'images'.*of int64"),
    ],
)  # fmt: skip
def test_other_inputs_are_named(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(with_landmarks(**more).SerializeToString())
    with pytest.raises(FairLabError, match=message):
        inspect_onnx(path)
