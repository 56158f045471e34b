"""Half precision and torch.compile change how a network computes in training, and nothing else about it."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from fairlab.errors import FairLabError
from fairlab.settings.study import Training
from fairlab.training.precision import check_precision, scaler, training_forward

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_on_a_processor(precision: str) -> None:
    with pytest.raises(FairLabError, match=f"training.precision '{precision}' is for a GPU: on a CPU"):
        check_precision(Training(precision=precision), CPU)
    check_precision(Training(), CPU)


def test_only_fp16_scales_its_gradients() -> None:
    assert scaler(Training()) is None
    assert scaler(Training(precision="bf16")) is None
    with warnings.catch_warnings():  # that there is no GPU here
        warnings.simplefilter("ignore")
        assert isinstance(scaler(Training(precision="fp16")), torch.amp.GradScaler)


def test_half_precision_is_inside_the_network_and_in_training_alone() -> None:
    """1 + 2^-9 is no number in bf16 (8 bits): in training it becomes 1; what comes out is single precision."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    fine = torch.tensor([[1 + 2.0**-9]])
    with training_forward(layer, Training(precision="bf16"), CPU):
        layer.train()
        coarse = layer(fine)
        assert coarse.dtype == torch.float32
        assert coarse.item() == 1.0
        layer.eval()
        assert torch.equal(layer(fine), fine)
    layer.train()
    assert torch.equal(layer(fine), fine)
    assert "forward" not in vars(layer)


def test_without_such_settings_the_network_is_left_alone() -> None:
    layer = nn.Linear(1, 1)
    with training_forward(layer, Training(), CPU):
        assert "forward" not in vars(layer)


def test_a_compiled_network_is_the_same_network() -> None:
    """The keys of its weights, its embeddings and its gradients; in evaluation it is not compiled.

    By the backend that needs no compiler of the system: the usual one takes a minute and a half here.
    """
    plain, quick = network(), network()
    images = torch.randn(4, 6)
    torch.compiler.reset()
    with training_forward(quick, Training(compile=True), CPU, backend="aot_eager"):
        assert list(quick.state_dict()) == list(plain.state_dict())
        one, other = plain(images), quick(images)
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)
        one.square().sum().backward()
        other.square().sum().backward()
        for a, b in zip(plain.parameters(), quick.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-6)
        plain.eval(), quick.eval()
        assert torch.equal(quick(images[:3]), plain(images[:3]))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
