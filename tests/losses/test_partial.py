"""A share of the classes in each step (PartialFC): who is drawn, what it costs, and what it leaves alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fairlab.losses.base import LOSSES
from fairlab.losses.partial import sample_classes
from fairlab.settings.loss import loss_settings


@given(
    identities=st.lists(st.integers(0, 39), min_size=1, max_size=60),
    rate=st.floats(0.01, 1.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_batchs_classes_and_others_are_drawn_once_each(identities: list[int], rate: float, seed: int) -> None:
    """rate * C rounded up, or as many as the batch has, at least two; positions point at the identities."""
    torch.manual_seed(seed)
    y = torch.tensor(identities)
    chosen, positions = sample_classes(y, 40, rate)
    assert len(chosen) == max(math.ceil(rate * 40), len(set(identities)), 2)
    assert len(set(chosen.tolist())) == len(chosen)
    assert torch.equal(chosen[positions], y)
    assert 0 <= int(chosen.min()) <= int(chosen.max()) < 40


def test_every_other_class_is_as_likely() -> None:
    """4,000 draws of 10 of 100 with 2 in the batch: each of the others comes with probability 8 / 98."""
    torch.manual_seed(0)
    counts = torch.zeros(100)
    for _ in range(4000):
        counts[sample_classes(torch.tensor([3, 50]), 100, 0.1)[0]] += 1
    assert counts[[3, 50]].tolist() == [4000, 4000]
    others = torch.cat([counts[:3], counts[4:50], counts[51:]]) / 4000
    spread = math.sqrt(8 / 98 * 90 / 98 / 4000)
    assert float((others - 8 / 98).abs().max()) < 5 * spread


def test_the_seed_of_the_step_decides_the_draw() -> None:
    """From torch's global generator, so that a resumed run repeats itself."""
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(sample_classes(torch.tensor([5]), 1000, 0.05)[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("name", list(LOSSES))
class TestEveryLoss:
    """For each name of the registry."""

    def test_a_share_is_the_loss_over_these_classes_alone(self, name: str) -> None:
        """Equal to a whole head that holds nothing but the chosen centres: value and gradients."""
        torch.manual_seed(3)
        x, y = 9 * torch.randn(6, 8, dtype=torch.float64), torch.tensor([0, 39, 39, 2, 3, 11])
        head = LOSSES[name](8, 40, loss_settings(name=name, scale=8.0, sample_rate=0.3)).double()
        small = LOSSES[name](8, 12, loss_settings(name=name, scale=8.0)).double()
        torch.manual_seed(4)
        chosen, positions = sample_classes(y, 40, 0.3)
        small.weight.data = head.weight.data[chosen]
        whole = small.loss(x, positions)  # the elastic losses draw their margins after the classes
        whole.backward()
        torch.manual_seed(4)
        share = head.loss(x, y)
        share.backward()
        torch.testing.assert_close(share, whole)
        assert head.weight.grad is not None
        gradient = head.weight.grad.to_dense()
        torch.testing.assert_close(gradient[chosen], small.weight.grad)
        others = torch.ones(40, dtype=torch.bool).index_fill(0, chosen, False)
        assert not gradient[others].any()

    def test_the_cost_is_that_of_the_share(self, name: str) -> None:
        """The gradient holds the drawn rows and no others: 5 % of 2,000 centres."""
        head = LOSSES[name](8, 2000, loss_settings(name=name, sample_rate=0.05))
        head.loss(torch.randn(16, 8), torch.arange(16)).backward()
        assert head.weight.grad is not None
        assert head.weight.grad.is_sparse
        assert head.weight.grad._values().shape == (100, 8)

    def test_all_classes_is_the_whole_loss(self, name: str) -> None:
        """sample_rate 1 is the empty setting; in evaluation and in forward no share is drawn."""
        x, y = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
        assert loss_settings(name=name, sample_rate=1.0) == loss_settings(name=name)
        head = LOSSES[name](8, 30, loss_settings(name=name, sample_rate=0.2))
        assert head(x, y).shape == (4, 30)
        head.eval()
        torch.testing.assert_close(head.loss(x, y), functional.cross_entropy(head(x), y))


def test_a_batch_of_one_identity_still_has_another_to_tell_it_from() -> None:
    """Otherwise its loss would be zero whatever it is."""
    head = LOSSES["arcface"](8, 100, loss_settings(name="arcface", sample_rate=0.001))
    assert float(head.loss(torch.randn(4, 8), torch.zeros(4, dtype=torch.long)).detach()) > 0.1
