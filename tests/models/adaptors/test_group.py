"""The adaptors that know the own group's teacher."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.adaptors.group import one_length, own_embedding
from fairlab.models.base import ADAPTORS
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Adaptor

OWN = torch.tensor([2, 0, 3, 1, 2])


def inputs(dims: tuple[int, ...], own: Tensor = OWN) -> tuple[list[Tensor], Tensor]:
    """Unit embeddings of each teacher, and what the adaptor is given."""
    torch.manual_seed(0)
    blocks = [functional.normalize(torch.randn(len(own), dim, dtype=torch.float64)) for dim in dims]
    return blocks, torch.cat([*blocks, own[:, None].double()], dim=1)


def an_adaptor(name: str, dims: tuple[int, ...], out: int = 7) -> nn.Module:
    torch.manual_seed(1)
    return ADAPTORS[name](Adaptor(name=name, embedding_dim=out), dims).double()


def test_has_as_many_parameters_as_published() -> None:
    """Positioning 2048 * 512 + 512, as SL; encoding takes 513 numbers: 513 * 512 + 512."""
    for name, count in (("positioning", 1_049_088), ("encoding", 263_168)):
        with shapes_only():
            network = ADAPTORS[name](Adaptor(name=name), (512,) * 4)
        assert sum(tensor.numel() for tensor in network.parameters()) == count


@pytest.mark.parametrize("dims", [(5,), (4, 4), (6,) * 7])
def test_parameters_for_any_teachers(dims: tuple[int, ...]) -> None:
    """sum(dims) * D + D, and (M + 1) * D + D however many teachers (identity A3)."""
    for name, count in (("positioning", sum(dims) * 8 + 8), ("encoding", (dims[0] + 1) * 8 + 8)):
        network = an_adaptor(name, dims, 8)
        assert sum(tensor.numel() for tensor in network.parameters()) == count
        assert all(label.startswith("linear.") for label in network.state_dict())


@pytest.mark.parametrize("dims", [(4,) * 4, (3, 9, 2, 5)])
def test_positioning_is_the_own_teachers_block_of_sl(dims: tuple[int, ...]) -> None:
    """x_g W_g^T + b, g the own group: the other blocks are zero. Teachers of any lengths."""
    network = an_adaptor("positioning", dims)
    blocks, x = inputs(dims)
    weight, bias = network.linear.weight.detach(), network.linear.bias.detach()
    parts = weight.split(dims, dim=1)
    expected = torch.stack([blocks[g][row] @ parts[g].t() + bias for row, g in enumerate(OWN.tolist())])
    torch.testing.assert_close(network(x), expected)


def test_positioning_with_one_teacher_is_sl() -> None:
    """There is nothing to leave out."""
    positioning, sl = an_adaptor("positioning", (6,)), an_adaptor("sl", (6,))
    (block,), x = inputs((6,), torch.zeros(5, dtype=torch.long))
    assert torch.equal(positioning(x), sl(block))  # the same seed, so the same weights


def test_encoding_is_its_formula() -> None:
    """W [g, x_g] + b, the number first and as it is."""
    network = an_adaptor("encoding", (6,) * 4)
    blocks, x = inputs((6,) * 4)
    own = torch.stack(blocks, dim=1)[torch.arange(5), OWN]
    weight, bias = network.linear.weight.detach(), network.linear.bias.detach()
    expected = OWN[:, None] * weight[:, 0] + own @ weight[:, 1:].t() + bias
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("name", ["positioning", "encoding"])
def test_the_other_groups_teachers_do_not_matter(name: str) -> None:
    """Only the own block is read; another own block is another output."""
    network = an_adaptor(name, (6,) * 4)
    blocks, x = inputs((6,) * 4)
    other = torch.stack(blocks, dim=1)
    mine = torch.zeros(5, 4, dtype=torch.bool)
    mine[torch.arange(5), OWN] = True
    harmed = torch.where(mine[:, :, None], other, 9.0)
    assert torch.equal(network(torch.cat([harmed.flatten(1), x[:, -1:]], dim=1)), network(x))
    harmed = torch.where(mine[:, :, None], 9.0, other)
    assert not torch.isclose(network(torch.cat([harmed.flatten(1), x[:, -1:]], dim=1)), network(x)).all(dim=1).any()


def test_positioning_order_of_teachers_numbers_and_weight_columns_go_together() -> None:
    """Permuting all three leaves the output (identity A6); the teachers and numbers alone do not."""
    network, order = an_adaptor("positioning", (6,) * 4), [2, 0, 3, 1]
    blocks, x = inputs((6,) * 4)
    before = network(x)
    numbers = torch.tensor([order.index(int(g)) for g in OWN])
    permuted = torch.cat([*(blocks[g] for g in order), numbers[:, None].double()], dim=1)
    assert not torch.allclose(network(permuted), before)
    weight = network.linear.weight
    weight.data = weight.data.reshape(7, 4, 6)[:, order].flatten(1)
    torch.testing.assert_close(network(permuted), before)


def test_of_the_order_encoding_knows_the_number_only() -> None:
    """Permuting teachers and numbers moves the output by (new number - old) * the number's weights (identity A6)."""
    network, order = an_adaptor("encoding", (6,) * 4), [2, 0, 3, 1]
    blocks, x = inputs((6,) * 4)
    numbers = torch.tensor([order.index(int(g)) for g in OWN])
    permuted = torch.cat([*(blocks[g] for g in order), numbers[:, None].double()], dim=1)
    moved = (numbers - OWN)[:, None] * network.linear.weight.detach()[:, 0]
    torch.testing.assert_close(network(permuted) - network(x), moved)


def test_positioning_can_return_the_own_teacher() -> None:
    """W = [I I I I], b = 0 (identity A7)."""
    network = an_adaptor("positioning", (6,) * 4, 6)
    blocks, x = inputs((6,) * 4)
    eye = torch.eye(6, dtype=torch.float64).repeat(1, 4)
    network.linear.load_state_dict({"weight": eye, "bias": torch.zeros(6, dtype=torch.float64)})
    own = torch.stack([blocks[g][row] for row, g in enumerate(OWN.tolist())])
    torch.testing.assert_close(network(x), own)
    torch.testing.assert_close(own_embedding(x, 6), own)


@pytest.mark.parametrize("name", ["positioning", "encoding"])
def test_is_affine_within_a_group(name: str) -> None:
    """f(ax + by) - b0 is additive (identity A4)."""
    network, own = an_adaptor(name, (6,) * 4), torch.full((3,), 2)
    x = inputs((6,) * 4, own)[1]
    x[2, :-1] = 2 * x[0, :-1] - 3 * x[1, :-1]
    zero = torch.zeros_like(x[:1])
    zero[:, -1] = 2
    out = network(x) - network(zero)
    torch.testing.assert_close(out[2], 2 * out[0] - 3 * out[1])


def test_teachers_of_several_lengths_are_named() -> None:
    """One sentence with the lengths."""
    assert one_length("it", (5, 5)) == 5
    with pytest.raises(FairLabError, match="it needs teachers whose embeddings are equally long; these have 512, 256"):
        one_length("it", (512, 256))
