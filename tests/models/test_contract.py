"""What holds for every registered network: a new file is tested by this without an edit."""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.base import ADAPTORS, BACKBONES
from fairlab.settings.backbone import OWN, backbone_settings
from fairlab.settings.study import Adaptor
from tests.thorough import THOROUGH

SIZE = 32
LARGE = re.compile(r"1\d\d|200")
"""Depths from 100 layers on: half a gigabyte and seconds each, of the same code as the smaller ones: with FAIRLAB_THOROUGH=1."""
NIGHTLY = {"vit_s", "vit_b", "vit_l", "transface_b", "transface_l"}
"""The code of vit_t and transface_s with more of the same, up to a gigabyte each: with FAIRLAB_THOROUGH=1."""
OF_FILES = {
    "cavaface_ir_50", "curricular_ir_50", "magface_iresnet18", "mbf_large", "mobilefacenet_affine", "mobilefacenet_flat",
    "timm_vit_ti16", "timm_vit_s14_dinov2_reg4", "cvlface_vit_s_kprpe",
}  # fmt: skip
"""Of the networks that only files bring, one of each kind; the others with FAIRLAB_THOROUGH=1."""


def _tested(name: str) -> bool:
    always = (
        name in OF_FILES if BACKBONES.facts(name).get("files_only") else name not in NIGHTLY and not LARGE.search(name)
    )
    return always or THOROUGH


EVERY = [
    pytest.param(name, marks=pytest.mark.slow) if BACKBONES.facts(name).get("files_only") else name
    for name in BACKBONES
    if _tested(name)
]


OWN_SIZES: dict[str, dict[str, Any]] = {"patch_echo": {"patch_px": 8, "token_dim": 6, "units": 12}}
"""Small ones of networks that have settings of their own."""
EQUAL = ("encoding",)
"""Adaptors that need teachers of one length."""


def for_adaptor(name: str, dims: tuple[int, ...], images: int = 3) -> torch.Tensor:
    """Unit embeddings side by side, and the own teacher's number where the adaptor needs it."""
    torch.manual_seed(2)
    parts = [functional.normalize(torch.randn(images, dim)) for dim in dims]
    if ADAPTORS.facts(name).get("needs_group"):
        parts.append((torch.arange(images) % len(dims))[:, None].float())
    return torch.cat(parts, dim=1)


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    small = OWN_SIZES.get(name, {"widths": (4, 8)})
    return BACKBONES[name](backbone_settings(name, embedding_dim=7, **small), SIZE)


def beside(name: str, images: int) -> tuple[torch.Tensor, ...]:
    """What a network takes beside the images: landmarks, where its registration says so."""
    dice = torch.Generator().manual_seed(4)
    return (torch.rand(images, 5, 2, generator=dice),) if BACKBONES.facts(name).get("landmarks") else ()


first_made = lru_cache(maxsize=1)(made)  # drawing the weights of a hundred layers takes longer than what follows


def a_backbone(name: str) -> nn.Module:
    """One of one's own, as it was first made."""
    return copy.deepcopy(first_made(name))


@pytest.mark.parametrize("name", EVERY)
class TestEveryBackbone:
    """For each name of the registry."""

    def test_says_what_it_is(self, name: str) -> None:
        """Title and source stand in its registration."""
        assert {"title", "source"} <= BACKBONES.facts(name).keys()

    def test_has_the_settings_of_its_name(self, name: str) -> None:
        """Of its own if it has some; then it is a small one that is tested here."""
        assert backbone_settings(name).name == name
        assert set(OWN_SIZES) == set(OWN) <= set(BACKBONES.names())

    def test_embeds_and_learns(self, name: str) -> None:
        """(B, 3, P, P) -> (B, D), finite, and every weight that may learn gets a finite gradient."""
        network = a_backbone(name)
        embeddings = network(torch.rand(3, 3, SIZE, SIZE) * 2 - 1, *beside(name, 3))
        assert embeddings.shape == (3, 7)
        weights = torch.linspace(-1, 1, 21).reshape(3, 7)
        (functional.normalize(embeddings) * weights).sum().backward()
        for label, tensor in network.named_parameters():
            if tensor.requires_grad:
                assert tensor.grad is not None, label
                assert torch.isfinite(tensor.grad).all(), label

    def test_an_image_is_embedded_alone(self, name: str) -> None:
        """In evaluation the rest of the batch does not matter, nor does asking twice."""
        network = a_backbone(name)
        images, more = torch.rand(4, 3, SIZE, SIZE) * 2 - 1, beside(name, 4)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0  # one batch tells the statistics; without any, deep networks overflow
        network.train()(images, *more)
        network.eval()
        with torch.inference_mode():
            together, again = network(images, *more), network(images, *more)
            alone = network(images[2:3], *(values[2:3] for values in more))
        assert torch.equal(together, again)
        torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-4)

    def test_the_seed_decides_the_weights(self, name: str) -> None:
        """Same seed, same network."""
        first, second = first_made(name).state_dict(), made(name).state_dict()
        assert all(torch.equal(first[label], second[label]) for label in first)


@pytest.mark.parametrize("name", list(ADAPTORS))
class TestEveryAdaptor:
    """For each name of the registry."""

    def test_says_what_it_is(self, name: str) -> None:
        """Title and source stand in its registration."""
        assert {"title", "source"} <= ADAPTORS.facts(name).keys()

    @pytest.mark.parametrize("dims", [(5,), (4, 6), (8,) * 4, (3,) * 7])
    def test_any_number_of_teachers(self, name: str, dims: tuple[int, ...]) -> None:
        """1, 2, 4 or 7 of them, of any lengths unless it says otherwise."""
        settings = Adaptor(name=name, embedding_dim=9)
        if name in EQUAL and len(set(dims)) > 1:
            with pytest.raises(FairLabError, match="equally long; these have 4, 6 dims"):
                ADAPTORS[name](settings, dims)
            return
        network = ADAPTORS[name](settings, dims)
        assert network(for_adaptor(name, dims)).shape == (3, 9)

    def test_evaluation_has_no_chance_in_it(self, name: str) -> None:
        """Dropout is off."""
        network, x = ADAPTORS[name](Adaptor(name=name, embedding_dim=9), (4, 4)).eval(), for_adaptor(name, (4, 4))
        assert torch.equal(network(x), network(x))

    def test_every_image_is_mapped_alone_and_every_weight_learns(self, name: str) -> None:
        """The rest of the batch does not matter; no weight is built that nothing uses (the official class has some)."""
        settings = Adaptor(name=name, embedding_dim=9, top_k=3)  # all: a map that the gate never picks does not learn
        network, x = ADAPTORS[name](settings, (4,) * 3), for_adaptor(name, (4,) * 3, 64)
        weights = torch.linspace(-1, 1, 64 * 9).reshape(64, 9)
        (functional.normalize(network(x)) * weights).sum().backward()
        assert all(tensor.grad is not None and tensor.grad.any() for tensor in network.parameters())
        network.eval()
        torch.testing.assert_close(network(x)[5:6], network(x[5:6]))
