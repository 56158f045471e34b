"""The adaptors' identities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.base import ADAPTORS
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Adaptor


def teachers(count: int = 4, dims: int = 6, images: int = 10) -> Tensor:
    """Unit embeddings (images, count, dims) of `count` teachers."""
    torch.manual_seed(0)
    return functional.normalize(torch.randn(images, count, dims, dtype=torch.float64), dim=2)


def an_adaptor(name: str, count: int = 4, dims: int = 6) -> nn.Module:
    torch.manual_seed(1)
    return ADAPTORS[name](Adaptor(name=name, embedding_dim=dims), (dims,) * count).double()


@pytest.mark.parametrize(("name", "count"), [("sl", 1_049_088), ("dul", 1_311_744), ("dldpo", 1_311_744)])
def test_has_as_many_parameters_as_published(name: str, count: int) -> None:
    """Four teachers of 512 dims, 512 out (identity A3, 1.8)."""
    with shapes_only():
        network = ADAPTORS[name](Adaptor(name=name), (512,) * 4)
    assert sum(tensor.numel() for tensor in network.parameters()) == count


@pytest.mark.parametrize(("name", "layers"), [("sl", 1), ("dul", 2), ("dldpo", 2)])
@pytest.mark.parametrize("dims", [(5,), (3, 9), (4,) * 7])
def test_parameters_for_any_teachers(name: str, layers: int, dims: tuple[int, ...]) -> None:
    """sum(dims) * D + D, and D * D + D more for a second layer (identity A3)."""
    network = ADAPTORS[name](Adaptor(name=name, embedding_dim=8), dims)
    expected = sum(dims) * 8 + 8 + (8 * 8 + 8 if layers == 2 else 0)
    assert sum(tensor.numel() for tensor in network.parameters()) == expected


@pytest.mark.parametrize("name", ["dul", "dldpo"])
def test_a_hidden_layer_of_its_own_width(name: str) -> None:
    """sum(dims) * H + H + H * D + D; 0 is D, with the same weights as before there was a choice."""
    network = ADAPTORS[name](Adaptor(name=name, embedding_dim=8, hidden_dim=20), (5, 7))
    assert sum(tensor.numel() for tensor in network.parameters()) == 12 * 20 + 20 + 20 * 8 + 8
    made = []
    for hidden in (0, 6):
        torch.manual_seed(3)
        made.append(ADAPTORS[name](Adaptor(name=name, embedding_dim=6, hidden_dim=hidden), (4, 4)).eval())
    assert torch.equal(made[0](torch.ones(2, 8)), made[1](torch.ones(2, 8)))


def test_sl_is_affine() -> None:
    """f(ax + by) - b0 is additive (identity A4)."""
    network, x = an_adaptor("sl"), teachers().flatten(1)
    base = network(torch.zeros(1, 24, dtype=torch.float64))
    left = network(2 * x[:1] - 3 * x[1:2]) - base
    torch.testing.assert_close(left, 2 * (network(x[:1]) - base) - 3 * (network(x[1:2]) - base))


def test_dul_is_its_formula() -> None:
    """W2 leaky(W1 x + b1, 0.01) + b2."""
    network, x = an_adaptor("dul"), teachers().flatten(1)
    assert isinstance(network, nn.Sequential)
    w1, b1, w2, b2 = (parameter.detach() for parameter in network.parameters())
    hidden = x @ w1.t() + b1
    hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
    torch.testing.assert_close(network(x), hidden @ w2.t() + b2)


def test_dldpo_in_evaluation_is_dul() -> None:
    """With the same weights (identity A5); in training the dropout acts."""
    dul, dldpo, x = an_adaptor("dul"), an_adaptor("dldpo"), teachers().flatten(1)
    for mine, theirs in zip(dldpo.parameters(), dul.parameters(), strict=True):
        mine.data = theirs.data.clone()
    torch.testing.assert_close(dldpo.eval()(x), dul(x))
    assert not torch.allclose(dldpo.train()(x), dul(x))


def test_dldpo_drops_the_set_share() -> None:
    """A fifth by default, as published, before the activation."""
    layers = list(an_adaptor("dldpo").children())
    assert [type(layer) for layer in layers] == [nn.Linear, nn.Dropout, nn.LeakyReLU, nn.Linear]
    assert layers[1].p == 0.2


@pytest.mark.parametrize("name", ["sl", "dul", "dldpo"])
def test_order_of_teachers_and_of_weight_columns_go_together(name: str) -> None:
    """Permuting both leaves the output (identity A6); permuting the teachers alone does not."""
    network, x, order = an_adaptor(name).eval(), teachers(), [2, 0, 3, 1]
    before, permuted = network(x.flatten(1)), x[:, order].flatten(1)
    assert not torch.allclose(network(permuted), before)
    first = next(network.parameters())
    first.data = first.data.reshape(6, 4, 6)[:, order].flatten(1)
    torch.testing.assert_close(network(permuted), before)


@pytest.mark.parametrize("picked", [0, 3])
def test_sl_can_return_one_teacher(picked: int) -> None:
    """W = [0 .. I .. 0], b = 0 (identity A7)."""
    network, x = an_adaptor("sl"), teachers()
    blocks = torch.zeros(6, 4, 6, dtype=torch.float64)
    blocks[:, picked] = torch.eye(6)
    network.load_state_dict({"weight": blocks.flatten(1), "bias": torch.zeros(6, dtype=torch.float64)})
    torch.testing.assert_close(network(x.flatten(1)), x[:, picked])


def test_sl_can_return_the_mean_teacher() -> None:
    """W = [I I I I] / 4, b = 0 (identity A7)."""
    network, x = an_adaptor("sl"), teachers()
    weight = torch.eye(6, dtype=torch.float64).repeat(1, 4) / 4
    network.load_state_dict({"weight": weight, "bias": torch.zeros(6, dtype=torch.float64)})
    torch.testing.assert_close(network(x.flatten(1)), x.mean(1))
