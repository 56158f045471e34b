"""The distillation distance and its weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import Method, build_backbone, build_head, kd_weight, method_settings, unit_distance
from fairlab.settings.distillation import AKDSettings, CCSettings
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_run


def test_distance_is_the_known_one() -> None:
    """Golden value of MSE(normalised X, normalised T), and 10,000 times it."""
    distance = float(unit_distance(EMBEDDINGS, functional.normalize(TARGETS)))
    assert distance == pytest.approx(GOLDEN["kd_mse_normalised"], abs=1e-12)
    assert 10_000 * distance == pytest.approx(GOLDEN["kd_lambda1e4"], abs=1e-8)


@given(dims=st.integers(2, 64), images=st.integers(1, 9), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_distance_is_a_matter_of_the_cosine(dims: int, images: int, seed: int) -> None:
    """MSE = mean(2 - 2 cos) / D for unit vectors (identity S2); the embedding's length does not matter."""
    draw = torch.Generator().manual_seed(seed)
    x, t = (torch.randn(images, dims, dtype=torch.float64, generator=draw) for _ in range(2))
    t = functional.normalize(t)
    expected = (2 - 2 * functional.cosine_similarity(x, t)).mean() / dims
    torch.testing.assert_close(unit_distance(x, t), expected)
    torch.testing.assert_close(unit_distance(7.5 * x, t), expected)


@pytest.mark.parametrize("dims", [2, 64, 128, 512])
def test_default_weight_keeps_the_papers_pull(dims: int) -> None:
    """lambda * MSE is 39.0625 at orthogonal and 78.125 at opposite vectors, at any length (identity S6, 1.9)."""
    weight = kd_weight(AKDSettings(), dims)
    e = torch.eye(dims, dtype=torch.float64)
    assert float(weight * unit_distance(e[:1], e[1:2])) == pytest.approx(39.0625)
    assert float(weight * unit_distance(e[:1], -e[:1])) == pytest.approx(78.125)
    assert float(weight * unit_distance(e[:1], e[:1])) == 0


def test_default_weight_is_the_papers_at_512() -> None:
    """10,000; and 2,500 at 128."""
    assert kd_weight(AKDSettings(), 512) == 10_000
    assert kd_weight(method_settings(a_run("a_kd", distillation=None), AKDSettings), 128) == 2_500


@pytest.mark.parametrize("weight", [0.0, 3.5])
def test_a_given_weight_is_that_at_512_dimensions(weight: float) -> None:
    """Also zero; at another length the pull on an image stays the same."""
    assert kd_weight(AKDSettings(kd_weight=weight), 512) == weight
    assert kd_weight(AKDSettings(kd_weight=weight), 64) == weight / 8


def test_the_settings_of_another_method_are_refused() -> None:
    """By the run, and by the method that would read them."""
    with pytest.raises(ValueError, match="method a_kd does not use the settings of cc"):
        a_run("a_kd", distillation=CCSettings())
    with pytest.raises(FairLabError, match="method cc needs settings of AKDSettings"):
        method_settings(a_run("cc"), AKDSettings)


def test_distance_is_zero_without_pull_only_at_the_target() -> None:
    """Value and gradient vanish there and nowhere near (identity S3)."""
    target = functional.normalize(torch.randn(3, 8, dtype=torch.float64))
    for shift, at_target in ((0.0, True), (1e-3, False)):
        x = (4.2 * target + shift * torch.randn(3, 8, dtype=torch.float64)).requires_grad_()
        distance = unit_distance(x, target)
        (gradient,) = torch.autograd.grad(distance, x)
        assert (float(distance.detach()) < 1e-20) == at_target
        assert (float(gradient.norm()) < 1e-12) == at_target


def test_pull_is_orthogonal_to_the_embedding() -> None:
    """Only the direction is taught, never the length (identity S4)."""
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(unit_distance(x, functional.normalize(torch.randn(5, 8).double())), x)
    assert float((gradient * x.detach()).sum(1).abs().max()) < 1e-14
    assert float(gradient.norm()) > 1e-3


def test_missing_targets_and_wrong_lengths_are_named() -> None:
    """Never a silent broadcast."""
    with pytest.raises(FairLabError, match="needs targets"):
        unit_distance(torch.zeros(2, 8), None)
    for shape in ((2, 4), (1, 8), (2, 1), (8,)):
        with pytest.raises(FairLabError, match="same embedding_dim"):
            unit_distance(torch.zeros(2, 8), torch.zeros(shape))


def test_missing_settings_are_named() -> None:
    """Backbone, loss, and identities to tell apart."""
    with pytest.raises(FairLabError, match="classifier needs settings for a backbone"):
        build_backbone(a_run("classifier", backbone=None), 16)
    with pytest.raises(FairLabError, match="classifier needs settings for a loss"):
        build_head(a_run("classifier", loss=None), 8, 3)
    with pytest.raises(ValueError, match="nonsense"):
        a_run("classifier", loss={"name": "nonsense"})
    for classes in (0, 1):
        with pytest.raises(FairLabError, match=f"two or more identities.*has {classes}"):
            build_head(a_run("classifier"), 8, classes)


def test_a_method_learns_from_images_without_targets_unless_it_says_otherwise() -> None:
    """The defaults of the contract."""
    assert (Method.inputs, Method.needs_targets, Method.trains) == ("images", False, True)
