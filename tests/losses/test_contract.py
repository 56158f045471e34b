"""What holds for every registered loss: a new file is tested by this without an edit."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.config import Loss
from fairlab.errors import FairLabError
from fairlab.losses.base import LOSSES, MarginHead


def a_head(name: str, classes: int, dims: int = 6, **changes: float) -> MarginHead:
    return LOSSES[name](dims, classes, Loss(name=name, **changes))


def test_the_losses_of_the_papers_are_there() -> None:
    """Names as presets use them."""
    assert {"arcface", "elastic_arcface", "norm_softmax"} <= set(LOSSES)


def test_an_unknown_loss_is_answered_with_the_known_ones() -> None:
    """One sentence with the choices."""
    with pytest.raises(FairLabError, match=r"no loss 'arcfase'.*arcface, elastic_arcface"):
        LOSSES["arcfase"]


@pytest.mark.parametrize("name", list(LOSSES))
class TestEveryLoss:
    """For each name of the registry."""

    def test_says_what_it_is(self, name: str) -> None:
        """Title and source stand in its registration."""
        assert {"title", "source"} <= LOSSES.facts(name).keys()

    @pytest.mark.parametrize("classes", [2, 3, 11])
    def test_logits_have_a_column_for_each_identity(self, name: str, classes: int) -> None:
        """(B, C), finite, in the embeddings' precision, within +-scale."""
        logits = a_head(name, classes, scale=10.0)(torch.randn(4, 6), torch.arange(4) % classes)
        assert logits.shape == (4, classes)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()
        assert float(logits.detach().abs().max()) <= 10.0 + 1e-4

    def test_without_margin_it_is_norm_softmax(self, name: str) -> None:
        """m = 0 and sigma = 0 (METHODS H1)."""
        head = a_head(name, 5, margin_rad=0.0, sigma_rad=0.0).double()
        x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 5
        torch.testing.assert_close(head(x, y), head(x), atol=1e-4, rtol=0)

    def test_in_evaluation_there_is_no_margin(self, name: str) -> None:
        """Only scale * cosine (METHODS H10)."""
        head = a_head(name, 5, scale=7.0).eval()
        x, y = torch.randn(8, 6), torch.arange(8) % 5
        expected = 7.0 * functional.cosine_similarity(x[:, None], head.weight[None], dim=2)
        torch.testing.assert_close(head(x, y), expected, atol=1e-5, rtol=0)

    def test_the_order_of_images_does_not_matter_without_spread(self, name: str) -> None:
        """Each image's logits are its own."""
        head = a_head(name, 5, sigma_rad=0.0).double()
        x, y, order = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 5, torch.randperm(8)
        torch.testing.assert_close(head(x[order], y[order]), head(x, y)[order])

    @pytest.mark.parametrize("classes", [2, 4, 7])
    def test_it_learns_to_tell_identities_apart(self, name: str, classes: int) -> None:
        """Free embeddings reach a loss of nearly zero, without a NaN on the way."""
        torch.manual_seed(0)
        head = a_head(name, classes, dims=16, scale=24.0, margin_rad=0.25, sigma_rad=0.0125)
        x, y = torch.randn(2 * classes, 16, requires_grad=True), torch.arange(2 * classes) % classes
        solver = torch.optim.SGD([x, head.weight], lr=0.05, momentum=0.9)
        for _ in range(300):
            solver.zero_grad()
            loss = functional.cross_entropy(head(x, y), y)
            loss.backward()
            assert torch.isfinite(loss)
            solver.step()
        assert float(loss.detach()) < 0.02
