"""PatchEcho: the standard echo state network to nine digits, the sizes of G11, and the identities E1 to E6."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.backbones.patch_echo import PatchEcho, Reservoir, drawn, with_radius
from fairlab.models.flops import forward_flops
from fairlab.models.shapes import shapes_only
from fairlab.settings.backbone import PatchEchoSettings
from fairlab.training.average import Average

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "reservoir_golden.json").read_text(encoding="utf-8")
)
KNOWN, EXPECTED = GOLDEN["G10"]["inputs"], GOLDEN["G10"]["outputs"]
SMALL = PatchEchoSettings(patch_px=8, token_dim=6, units=20, embedding_dim=5)


def table(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def golden_reservoir() -> Reservoir:
    """With the weights of reservoirpy's run, in double precision."""
    reservoir = Reservoir(PatchEchoSettings(token_dim=2, units=3, leak=KNOWN["a"])).double()
    with torch.no_grad():
        reservoir.input.weight.copy_(table(KNOWN["win"]))
        reservoir.input.bias.copy_(table(KNOWN["b"]))
        reservoir.recurrent.weight.copy_(with_radius(table(KNOWN["w_raw"]), 0.9))
    return reservoir


def images(count: int, px: int = 16) -> Tensor:
    return torch.rand(count, 3, px, px, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_the_states_are_those_of_reservoirpy() -> None:
    """G10: the scaled weights, the state after every token, and a ridge read-out over them."""
    before = float(torch.linalg.eigvals(table(KNOWN["w_raw"])).abs().max())
    assert before == pytest.approx(EXPECTED["spectral_radius_before"], rel=1e-9)
    reservoir = golden_reservoir()
    torch.testing.assert_close(
        reservoir.recurrent.weight, table(EXPECTED["w"]), rtol=1e-9, atol=1e-10, check_dtype=True
    )
    states = reservoir(table(KNOWN["u"])[None])
    torch.testing.assert_close(states[0], table(EXPECTED["states"]), rtol=1e-9, atol=1e-10)
    seen = torch.cat([torch.ones(4, 1), states[0]], dim=1)
    wanted = seen.t() @ table(KNOWN["y"])
    read_out = torch.linalg.solve(seen.t() @ seen + KNOWN["beta"] * torch.eye(4, dtype=torch.float64), wanted)
    torch.testing.assert_close(read_out, table(EXPECTED["read_out"]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("size", [name for name in GOLDEN["G11"]["outputs"] if "density" not in name])
def test_trained_and_frozen_numbers_and_the_arithmetic(size: str) -> None:
    """G11: (px, patch, token length, units, embedding length)."""
    px, patch, width, units, dims = map(int, size.split("_"))
    known = GOLDEN["G11"]["outputs"][size]
    settings = PatchEchoSettings(patch_px=patch, token_dim=width, units=units, embedding_dim=dims)
    with shapes_only():
        network = PatchEcho(settings, px)
        flops = forward_flops(network, torch.empty(1, 3, px, px))
    trained, frozen = (
        sum(weight.numel() for weight in network.parameters() if weight.requires_grad == learns)
        for learns in (True, False)
    )
    assert (trained, frozen, flops) == (known["trainable"], known["frozen"], known["flops_2_macs"])
    assert network.places.numel() == known["parts"]["place"]
    assert network.last_tokens.numel() == known["parts"]["tokens"]


def test_the_weights_that_are_not_zero_are_the_share_that_was_asked_for() -> None:
    """G11 at density .1: so many multiply-adds would a sparse product need."""
    known = GOLDEN["G11"]["outputs"]["112_16_128_1024_512_density_.1"]
    _, _, weights = drawn(PatchEchoSettings(density=0.1, spectral_radius=0.0, units=64, token_dim=4))
    assert int((weights != 0).sum()) == 0
    _, _, weights = drawn(PatchEchoSettings(density=0.1, units=128, token_dim=4))
    assert int((weights != 0).sum()) == round(0.1 * 128**2)
    steps, kept = 49 + 2, round(0.1 * 1024**2)
    assert steps * (1024 * 128 + kept) == known["mac_parts"]["reservoir"]


@pytest.mark.parametrize("learn_tokens", [True, False])
def test_the_frozen_weights_stay_to_the_bit(learn_tokens: bool) -> None:
    """E1: after steps with momentum and weight decay; all else moves. The running mean keeps them too."""
    torch.manual_seed(0)
    network = PatchEcho(SMALL.model_copy(update={"learn_tokens": learn_tokens}), 16)
    before = {label: tensor.detach().clone() for label, tensor in network.named_parameters()}
    average = Average(network, 0.9)
    solver = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], 0.1, 0.9, weight_decay=0.01)
    for step in range(3):
        solver.zero_grad()
        network(images(4)).square().sum().backward()
        solver.step()
        average.add(network, step + 1)
    stays = {label for label, tensor in network.named_parameters() if torch.equal(tensor, before[label])}
    reservoir = {"reservoir.input.weight", "reservoir.input.bias", "reservoir.recurrent.weight"}
    tokens = {"tokens.weight", "tokens.bias", "places", "last_tokens"}
    assert stays == (reservoir if learn_tokens else reservoir | tokens)
    assert all(torch.equal(average.network.get_parameter(label), before[label]) for label in reservoir)


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.3])
def test_the_spectral_radius_is_what_was_asked_for(radius: float) -> None:
    """E2: before and, but for rounding, after the numbers are shortened."""
    weights = torch.randn(40, 40, dtype=torch.float64)
    assert float(torch.linalg.eigvals(with_radius(weights, radius)).abs().max()) == pytest.approx(radius, rel=1e-12)
    kept = drawn(PatchEchoSettings(units=40, token_dim=3, density=0.5, spectral_radius=radius))[2]
    assert float(torch.linalg.eigvals(kept.double()).abs().max()) == pytest.approx(radius, rel=1e-5)


def test_two_starts_meet() -> None:
    """E3, G10: after 200 equal tokens nothing is left of different beginnings."""
    reservoir = golden_reservoir()
    equal = torch.sin(0.3 * torch.arange(400, dtype=torch.float64)).reshape(1, 200, 2)
    ends = [
        reservoir(torch.cat([first, equal], 1))[0, -1]
        for first in (torch.full((1, 3, 2), 5.0).double(), -9 * equal[:, :7])
    ]
    assert float((ends[0] - ends[1]).norm()) < 1e-12


@pytest.mark.parametrize(
    ("leak", "radius", "steps"), [(1.0, 0.9, 9.49122158103), (0.3, 0.9, 32.8307951053), (0.5, 0.95, 39.4978902052)]
)
def test_the_slowest_mode_fades_as_the_leak_says(leak: float, radius: float, steps: float) -> None:
    """G10: -1 / ln(1 - a (1 - rho)) steps, measured on a unit that feeds itself."""
    reservoir = Reservoir(PatchEchoSettings(token_dim=1, units=2, leak=leak)).double()
    with torch.no_grad():
        reservoir.input.weight.fill_(1e-7)  # so little that tanh is linear
        reservoir.input.bias.zero_()
        reservoir.recurrent.weight.copy_(radius * torch.eye(2, dtype=torch.float64))
    tokens = torch.zeros(1, 60, 1, dtype=torch.float64)
    tokens[0, 0] = 1.0
    states = reservoir(tokens)[0, :, 0].log()
    assert -1 / float(states[-1] - states[-2]) == pytest.approx(steps, rel=1e-9)


def test_without_memory_a_token_stands_alone() -> None:
    """E4: a leak of 1 and no recurrent weights."""
    reservoir = Reservoir(PatchEchoSettings(token_dim=4, units=7, leak=1.0, spectral_radius=0.0))
    tokens = torch.randn(2, 5, 4)
    torch.testing.assert_close(reservoir(tokens), torch.tanh(reservoir.input(tokens)))


def test_the_seed_of_the_reservoir_alone_decides_it() -> None:
    """E5: whatever the run's seed and the device that is set; the run's draws are not disturbed."""
    settings = PatchEchoSettings(units=10, token_dim=3)
    first = [tensor.clone() for tensor in drawn(settings)]
    drawn.__globals__["_drawn"].cache_clear()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    with torch.device("meta"):
        again = drawn(settings)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    other = drawn(settings.model_copy(update={"reservoir_seed": 1}))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    networks = [PatchEcho(SMALL, 16).state_dict() for _ in range(2)]
    assert torch.equal(networks[0]["reservoir.recurrent.weight"], networks[1]["reservoir.recurrent.weight"])
    assert not torch.equal(networks[0]["tokens.weight"], networks[1]["tokens.weight"])


def turned(pixels: Tensor) -> Tensor:
    """The same patches of 8 px in another order."""
    left, right = pixels[..., :8], pixels[..., 8:]
    return torch.cat([right, left], dim=-1)


@pytest.mark.parametrize("memory", [True, False])
def test_the_order_of_the_patches_matters(memory: bool) -> None:
    """E6: without memory, and read from the mean alone, only through the place vectors."""
    torch.manual_seed(0)
    lost = {} if memory else {"spectral_radius": 0.0, "leak": 1.0}
    network = PatchEcho(SMALL.model_copy(update=lost), 16).double().eval()
    pixels = images(3).double()
    with torch.no_grad():
        assert not torch.allclose(network(pixels), network(turned(pixels)))
        network.places.zero_()
        assert torch.allclose(network(pixels), network(turned(pixels)), atol=1e-12) != memory


def test_the_two_tokens_stand_at_the_end_and_the_mean_is_read_too() -> None:
    """A causal reservoir has seen nothing at the beginning: read there, it knows no face (3.3)."""
    network, seen = PatchEcho(SMALL, 16).eval(), []
    network.reservoir.register_forward_hook(lambda _layer, given, states: seen.append((given[0], states)))
    inputs: list[Tensor] = []
    network.norm.register_forward_pre_hook(lambda _layer, given: inputs.append(given[0]))
    network(images(2))
    tokens, states = seen[0]
    assert tokens.shape == (2, 4 + 2, 6)
    assert torch.equal(tokens[:, 4:], network.last_tokens.expand(2, -1, -1))
    corner = images(2)[:, :, :8, 8:].flatten(1) @ network.tokens.weight.flatten(1).t() + network.tokens.bias
    torch.testing.assert_close(tokens[:, 1], corner + network.places[0, 1])  # reading order: the second is to the right
    torch.testing.assert_close(inputs[0], torch.cat([states.mean(1), states[:, -1]], 1))


def test_gradients_pass_through_the_reservoir() -> None:
    network = PatchEcho(SMALL, 16)
    network(images(4)).square().sum().backward()
    for label in ("tokens.weight", "places", "last_tokens"):
        gradient = network.get_parameter(label).grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_the_scale_of_the_inputs_is_what_a_token_adds() -> None:
    """Of a token with numbers of variance 1."""
    inputs, bias, _ = drawn(PatchEchoSettings(units=400, token_dim=50, input_scaling=2.0, density=0.01))
    added = inputs @ torch.randn(50, 200, generator=torch.Generator().manual_seed(5))
    assert float(added.std()) == pytest.approx(2.0, rel=0.05)
    assert float(bias.std()) == pytest.approx(2.0 / math.sqrt(50), rel=0.1)


@pytest.mark.parametrize(("px", "patch"), [(16, 5), (8, 16), (112, 32)])
def test_an_image_that_is_no_whole_number_of_patches_is_refused(px: int, patch: int) -> None:
    with pytest.raises(FairLabError, match=f"patches of {patch} px, and {px} px is not a multiple"):
        PatchEcho(PatchEchoSettings(patch_px=patch, units=4, token_dim=2), px)


def test_a_reservoir_without_a_circle_is_refused() -> None:
    with pytest.raises(FairLabError, match=r"raise backbone\.density or backbone\.units \(now 3\)"):
        with_radius(torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]]).double(), 0.9)


def test_the_network_ends_in_a_linear_layer() -> None:
    """Raw embeddings of any length."""
    network = PatchEcho(SMALL, 16).eval()
    assert isinstance(network.fc, nn.Linear)
    assert network(images(2)).shape == (2, 5)
