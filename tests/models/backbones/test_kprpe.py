"""CVLface's ViT with KP-RPE: the numbers of its code, its description by hand, and what is said of other forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairlab.errors import FairLabError
from fairlab.models.backbones.kprpe import LandmarkTransformer, offset_index, relative_positions
from fairlab.models.backbones.vit import CVLFACE_FORMS, Form
from fairlab.models.base import BACKBONES
from fairlab.models.files.importing import import_checkpoint
from fairlab.models.files.layouts import recognise
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone
from tests.models.waves import images, wave, weights

SMALL, PX, DIM = Form(16, 2, 2, 3, 8), 64, 6
POINTS = 0.5 + 0.4 * wave((2, 5, 2), 1.1)


def small() -> LandmarkTransformer:
    network = LandmarkTransformer(SMALL, Backbone(embedding_dim=DIM), PX)
    network.load_state_dict(weights(network.state_dict()))
    return network.eval()


def test_the_numbers_of_cvlfaces_code() -> None:
    """VisionTransformerWithKPRPE of CVLface's run_v1/models/vit_kprpe/vit.py (img_size 64, patch 8, width 16, 2 blocks, 2 heads,
    mlp_ratio 3, rel_keypoint_splithead_unshared, product, ratio 1.9) with these weights, landmarks and images, run on its own.
    """
    theirs = [[1.001627, -1.182849, 2.193569, -1.03168], [1.00352, -1.185439, 2.19597, -1.033622]]
    state = small().state_dict()
    state.pop("mask_token")  # its code has none without masks, and weights() counts keys
    network = small()
    network.load_state_dict(weights(state), strict=False)
    with torch.inference_mode():
        embeddings = network(images(2, PX), POINTS)
        swapped = network(images(2, PX), POINTS[:, [1, 0, 2, 4, 3]])
    torch.testing.assert_close(embeddings[:, :4], torch.tensor(theirs), rtol=1e-4, atol=1e-5)
    assert float((embeddings - swapped).abs().max()) > 1e-3


def test_the_bias_by_hand() -> None:
    """(arXiv 2403.14852, section 3) in loops: for query i and key j the number for j's place as seen from i, of the linear layer
    over i's differences to the landmarks.
    """
    network, seen = small(), list[torch.Tensor]()
    network.blocks[1].attn.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[1]))
    with torch.inference_mode():
        network(images(2, PX), POINTS)
    (bias,) = seen
    layer, side = network.keypoint_linear, PX // 8
    index = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3, 7: 3}  # round(1.9 + 1.9 ln(d / 1.9) / ln 8), at most 3
    for image, head, i, j in ((0, 0, 0, 63), (0, 1, 9, 10), (1, 1, 37, 2), (1, 0, 20, 20), (1, 1, 63, 0)):
        centre = torch.tensor([(i % side + 0.5) / side, (i // side + 0.5) / side])
        numbers = layer((centre - POINTS[image]).flatten()).detach()
        down, across = i // side - j // side, i % side - j % side
        place = (
            7 * (index[abs(down)] * (1 if down > 0 else -1) + 3) + index[abs(across)] * (1 if across > 0 else -1) + 3
        )
        row = (1 * SMALL.heads + head) * 49 + place  # block 1
        assert float(bias[image, head, i, j]) == pytest.approx(float(numbers[row]), abs=1e-5)


def test_far_places_share_a_number() -> None:
    """iRPE, equation 18 with alpha 1.9, beta 3.8, gamma 15.2, worked out by hand for the offsets of 14 patches."""
    expected = [0, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    assert offset_index(torch.arange(14)).tolist() == expected
    assert offset_index(-torch.arange(14)).tolist() == [-value for value in expected]
    places = relative_positions(14)
    assert places.shape == (196, 196)
    assert (places.diagonal() == 24).all()  # itself: the middle of 7 x 7
    assert (places.min(), places.max()) == (0, 48)


def test_a_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under CVLface's `net.`, without the mask that its training does not use; it asks for landmarks."""
    monkeypatch.setitem(CVLFACE_FORMS, "s", SMALL)
    monkeypatch.setitem(CVLFACE_FORMS, "b", SMALL._replace(blocks=3))
    state = small().state_dict()
    del state["mask_token"]
    torch.save({f"net.{key}": value for key, value in state.items()}, tmp_path / "model.pt")
    found = import_checkpoint(tmp_path / "model.pt")
    assert (found.backbone.name, found.image_px, found.confirm) == ("cvlface_vit_s_kprpe", PX, ("channels",))
    network = found.network()
    with torch.inference_mode():
        assert torch.equal(network(images(2, PX), POINTS), small()(images(2, PX), POINTS))
        with pytest.raises(FairLabError, match=r"takes landmarks \(2, 5, 2\) beside the images, not none"):
            network(images(2, PX))


@pytest.mark.parametrize("size", ["s", "b"])
def test_keys_and_shapes_of_the_published_networks(size: str) -> None:
    """keypoint_linear: 49 numbers for 8 heads of 12 blocks, or for 16 heads of 24, of 5 points."""
    name = f"cvlface_vit_{size}_kprpe"
    with shapes_only():
        state = BACKBONES[name](Backbone(name=name), 112).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert shapes["keypoint_linear.weight"] == {"s": (4704, 10), "b": (18816, 10)}[size]
    found = recognise(shapes, "a.pt")
    assert found is not None
    assert (found.backbone.name, found.image_px) == (name, 112)


@pytest.mark.parametrize(
    "other",
    [{"keypoint_linear.weight": (49 * 12, 10)}, {"keypoint_linear.0.weight": (256, 10)}, {"blocks.0.attn.rpe_k.lookup_table_weight": (1, 64, 49)}],
)  # fmt: skip
def test_other_relative_positions_are_named_and_the_way_by_onnx_is_shown(other: dict[str, tuple[int, ...]]) -> None:
    """Numbers shared by the heads, a perceptron over the landmarks, iRPE without landmarks."""
    with shapes_only():
        state = BACKBONES["cvlface_vit_s"](Backbone(name="cvlface_vit_s"), 112).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()} | other
    with pytest.raises(
        FairLabError, match=r"of another form than CVLface's vit_kprpe.*torch\.onnx\.export\(net, \(images, keypoints\)"
    ):
        recognise(shapes, "a.pt")
