"""What holds for every registered loss: a new file is tested by this without an edit.

Where a loss rightly differs, a table at the top says how and why.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import LOSSES, MarginHead
from fairlab.settings.loss import LOSSES as SETTINGS
from fairlab.settings.loss import loss_settings
from tests.losses.heads import fitting

NO_MARGIN = dict.fromkeys(("margin_rad", "margin_cos", "margin_low_rad", "margin_high_rad"), 0.0)
NO_SPREAD = dict.fromkeys(("sigma_rad", "sigma_cos", "sigma_plus_rad"), 0.0)
MILD = dict.fromkeys(("margin_rad", "margin_cos", "margin_low_rad"), 0.25) | {"margin_high_rad": 0.4}
LENGTH_MATTERS = {"adaface", "magface"}
"""Their margin follows the embedding's length; for all others only its direction counts (identity H3)."""
HARDENS_OTHERS = {"curricularface"}
"""Changes other classes' logits too, also at m = 0: s c (t + c) for the hard ones."""
ALL_HAVE = {"name", "sample_rate", "margin_factor"}
"""Of all losses, or, margin_factor, of those with an angle, which the batch brings: test_margin_factors.py."""
USED = {
    "norm_softmax": {"scale"},
    "arcface": {"scale", "margin_rad"},
    "cosface": {"scale", "margin_cos"},
    "elastic_arcface": {"scale", "margin_rad", "sigma_rad"},
    "elastic_cosface": {"scale", "margin_cos", "sigma_cos"},
    "elastic_arcface_plus": {"scale", "margin_rad", "sigma_plus_rad", "compat"},
    "elastic_cosface_plus": {"scale", "margin_cos", "sigma_cos", "compat"},
    "adaface": {"scale", "margin_cos", "ema_weight", "norm_concentration", "compat"},
    "magface": {"scale", "norm_low", "norm_high", "norm_weight", "margin_low_rad", "margin_high_rad"},
    "curricularface": {"scale", "margin_rad", "ema_weight"},
}
"""Settings of the losses of the papers, besides those that all have; each must change its loss, and there are no others."""
OTHER_VALUES: dict[str, Any] = {
    "scale": 20.0,
    "margin_rad": 0.3,
    "margin_cos": 0.2,
    "sigma_rad": 0.2,
    "sigma_cos": 0.2,
    "sigma_plus_rad": 0.2,
    "ema_weight": 0.5,
    "norm_concentration": 0.9,
    "norm_low": 20.0,
    "norm_high": 50.0,
    "norm_weight": 3.0,
    "margin_low_rad": 0.2,
    "margin_high_rad": 1.1,
    "compat": True,
}


def a_head(name: str, classes: int, dims: int = 6, **changes: Any) -> MarginHead:
    return LOSSES[name](dims, classes, fitting(name, **changes))


def test_the_losses_of_the_papers_are_there() -> None:
    """Names as presets use them."""
    assert set(USED) <= set(LOSSES)


def test_every_loss_has_settings_and_every_setting_another_value_here() -> None:
    """A head without a class of settings in fairlab.settings.loss could not be chosen."""
    assert LOSSES.names() == list(SETTINGS)
    assert set(OTHER_VALUES) == set.union(*map(set, (kind.model_fields for kind in SETTINGS.values()))) - ALL_HAVE


def test_an_unknown_loss_is_answered_with_the_known_ones() -> None:
    """One sentence with the choices."""
    with pytest.raises(FairLabError, match=r"no loss 'arcfase'.*arcface, cosface, curricularface, elastic_arcface"):
        LOSSES["arcfase"]


def near_centres(head: MarginHead) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of different lengths, cosines to their centre of about 0.7, in double precision."""
    y = torch.arange(12) % len(head.weight)
    draw = torch.Generator().manual_seed(1)
    noise = functional.normalize(torch.randn(12, head.weight.shape[1], generator=draw, dtype=torch.float64))
    lengths = torch.linspace(8, 60, 12, dtype=torch.float64)[:, None]
    return lengths * (functional.normalize(head.weight.detach())[y] + noise), y


@pytest.mark.parametrize("name", list(LOSSES))
class TestEveryLoss:
    """For each name of the registry."""

    def test_says_what_it_is(self, name: str) -> None:
        """Title and source stand in its registration."""
        assert {"title", "source"} <= LOSSES.facts(name).keys()

    @pytest.mark.parametrize("classes", [2, 3, 11])
    def test_logits_have_a_column_for_each_identity(self, name: str, classes: int) -> None:
        """(B, C), finite, in the embeddings' precision, within +-scale.

        Twice that where a margin is taken off the cosine (at most 0.8) or t + c stretches it (at most 2).
        """
        logits = a_head(name, classes, scale=10.0)(torch.randn(4, 6), torch.arange(4) % classes)
        assert logits.shape == (4, classes)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()
        beyond = "cos" in name or name in ("adaface", "curricularface")
        assert float(logits.detach().abs().max()) <= 10.0 * (1 + beyond) + 1e-4

    def test_without_margin_it_is_norm_softmax(self, name: str) -> None:
        """m = 0 and sigma = 0 (identity H1); only the target's column where others change."""
        head = a_head(name, 5, **NO_MARGIN, **NO_SPREAD).double()
        x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 5
        found, expected = head(x, y), head(x)
        if name in HARDENS_OTHERS:
            found, expected = found.gather(1, y[:, None]), expected.gather(1, y[:, None])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)

    def test_in_evaluation_there_is_no_margin(self, name: str) -> None:
        """Only scale * cosine (identity H10), and a loss without a penalty."""
        head = a_head(name, 5, scale=7.0).eval()
        x, y = torch.randn(8, 6), torch.arange(8) % 5
        expected = 7.0 * functional.cosine_similarity(x[:, None], head.weight[None], dim=2)
        torch.testing.assert_close(head(x, y), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(head.loss(x, y), functional.cross_entropy(expected, y), atol=1e-5, rtol=1e-5)

    def test_the_loss_is_cross_entropy_and_penalty(self, name: str) -> None:
        """Of the logits that forward gives."""
        x, y = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 5
        values = []
        for whole in (True, False):
            torch.manual_seed(2)
            head = a_head(name, 5).double()
            values.append(head.loss(x, y) if whole else functional.cross_entropy(head(x, y), y) + head.penalty(x))
        torch.testing.assert_close(values[0], values[1])

    def test_the_order_of_images_does_not_matter_without_spread(self, name: str) -> None:
        """Each image's logits are its own; what is remembered of earlier batches is equal at both times."""
        x, y, order = torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 5, torch.randperm(8)
        head = a_head(name, 5, **NO_SPREAD).double()
        before = {key: value.clone() for key, value in head.state_dict().items()}
        expected = head(x, y)[order]
        head.load_state_dict(before)
        torch.testing.assert_close(head(x[order], y[order]), expected)

    def test_only_the_direction_of_an_embedding_counts(self, name: str) -> None:
        """Identity H3, where the length is not what the margin follows; there it must count."""
        head = a_head(name, 5, **NO_SPREAD).double()
        x, y = near_centres(head)
        before = {key: value.clone() for key, value in head.state_dict().items()}
        first = head(x, y)
        head.load_state_dict(before)
        second = head(x * torch.linspace(3, 0.3, 12, dtype=torch.float64)[:, None], y)
        assert torch.allclose(first, second, atol=1e-9) == (name not in LENGTH_MATTERS)

    def test_it_has_the_settings_that_it_uses_and_no_others(self, name: str) -> None:
        """Each of them changes the loss; any other is refused."""

        def value(**changes: Any) -> float:
            torch.manual_seed(2)
            head = a_head(name, 5, **{"scale": 4.0, **changes}).double()
            x, y = near_centres(head)
            return float((head.loss(x, y) + head.loss(x, y)).detach())

        plain, known = value(), set(SETTINGS[name].model_fields) - ALL_HAVE
        assert known == USED.get(name, known)
        for key in known:
            assert value(**{key: OTHER_VALUES[key]}) != plain, key
        for key in OTHER_VALUES.keys() - known:
            with pytest.raises(ValueError, match="Extra inputs are not permitted"):
                loss_settings(name, **{key: OTHER_VALUES[key]})

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize("centres", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("inputs", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_on_and_opposite_a_class_centre_all_is_finite(
        self, name: str, sign: float, centres: torch.dtype, inputs: torch.dtype
    ) -> None:
        """Cosines of exactly +-1 (identity H6), in every mixture of precisions: loss, gradients, and what is remembered."""
        torch.manual_seed(0)
        head = a_head(name, 3, **NO_SPREAD).to(centres)
        with torch.no_grad():
            head.weight.copy_(torch.eye(3, 6))
        x = (20 * sign * torch.eye(2, 6)).to(inputs).requires_grad_()
        y = torch.tensor([0, 1])
        loss = head.loss(x, y)
        loss.backward()
        assert torch.isfinite(loss)
        for tensor in (x.grad, head.weight.grad, *head.buffers()):
            assert tensor is not None
            assert torch.isfinite(tensor).all()

    @pytest.mark.parametrize("classes", [2, 4, 7])
    def test_it_learns_to_tell_identities_apart(self, name: str, classes: int) -> None:
        """Free embeddings reach a loss of nearly zero, without a NaN on the way."""
        torch.manual_seed(0)
        spread = dict.fromkeys(NO_SPREAD, 0.0125)
        head = a_head(name, classes, dims=16, scale=24.0, **MILD, **spread)
        x, y = torch.randn(2 * classes, 16, requires_grad=True), torch.arange(2 * classes) % classes
        solver = torch.optim.SGD([x, head.weight], lr=0.05, momentum=0.9)
        for _ in range(300):
            solver.zero_grad()
            loss = functional.cross_entropy(head(x, y), y)
            loss.backward()
            assert torch.isfinite(loss)
            solver.step()
        assert float(loss.detach()) < 0.02
