"""How large a network is: numbers that its training changes or leaves, and arithmetic counted from its layers' shapes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def forward_flops(network: nn.Module, *inputs: Tensor) -> int:
    """Floating-point operations of one forward pass on `inputs`: two for each multiply-add of its convolutions and
    linear layers.

    All else (normalising, activations) is a few percent and not counted. Grouped convolutions are counted as what they
    do; torch's own counter takes those of a backward pass for dense ones. A training step costs three times a forward pass.
    """
    total = 0

    def count(layer: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += 2 * out.numel() * (layer.in_channels // layer.groups) * layer.kernel_size[0] * layer.kernel_size[1]
        elif isinstance(layer, nn.Linear):
            total += 2 * out.numel() * layer.in_features

    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(*inputs)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total


def parameters(network: nn.Module) -> tuple[int, int]:
    """(numbers that training changes, numbers that it leaves as they are), without statistics such as batch norm's."""
    trained = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    return trained, sum(weight.numel() for weight in network.parameters()) - trained


def size_facts(network: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """What a model's record says of its size: trained_parameters, frozen_parameters, and flops of an input of `shape`."""
    trained, frozen = parameters(network)
    device = next(network.parameters()).device
    flops = forward_flops(network, torch.zeros(1, *shape, device=device))
    return {"trained_parameters": trained, "frozen_parameters": frozen, "flops": flops}
