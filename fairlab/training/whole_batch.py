"""Layers that look at the whole step's batch although each process passes its share of it: batch norm and dropout.

Batch norm over a share is another network than over the batch, and dropout that each process draws for itself would
move all later draws of the step. So a step is the same, up to rounding, however many processes make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from fairlab.errors import FairLabError
from fairlab.training.world import World


@contextmanager
def over_whole_batch(network: nn.Module, world: World) -> Iterator[None]:
    """Inside, the layers of `network` work on the whole batch while they train; keys and modules stay as they are.

    Raises FairLabError for a kind of dropout that is not known here.
    """
    changed: list[nn.Module] = [layer for layer in network.modules() if isinstance(layer, _BatchNorm | _DropoutNd)]
    try:
        for layer in changed:
            layer.forward = _shared(layer, world)
        yield
    finally:
        for layer in changed:
            layer.__dict__.pop("forward", None)  # the class's own again


def _shared(layer: nn.Module, world: World) -> Callable[[Tensor], Tensor]:
    plain = layer.forward
    if isinstance(layer, _BatchNorm):
        on_gpu = next(iter(layer.state_dict().values())).is_cuda
        train = _synchronised(layer) if on_gpu else lambda inputs: _normalised(layer, inputs, world)
    elif type(layer) is nn.Dropout:
        train = lambda inputs: _dropped(layer, inputs, world)  # noqa: E731
    else:
        raise FairLabError(
            f"this network has a {type(layer).__name__}, which several processes cannot share with the result of one; train "
            "it with devices = 1"
        )
    return lambda inputs: train(inputs) if layer.training else plain(inputs)


def _synchronised(layer: _BatchNorm) -> Callable[[Tensor], Tensor]:
    """torch's own, which works on GPUs only; it has this layer's weights and statistics."""
    twin: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
    return twin.train()


def _normalised(layer: _BatchNorm, inputs: Tensor, world: World) -> Tensor:
    """Batch norm of (B, C, ...) by mean and variance of all processes' inputs; running statistics as torch has them."""
    axes = [0, *range(2, inputs.dim())]
    variance, mean = torch.var_mean(inputs, axes, correction=0)
    told = world.gather(torch.stack([mean, variance])[None])  # (size, 2, C)
    mean = told[:, 0].mean(0)
    variance = (told[:, 1] + (told[:, 0] - mean).square()).mean(0)
    if layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None:
        with torch.no_grad():
            layer.num_batches_tracked.add_(1)
            share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
            count = inputs.numel() // inputs.shape[1] * world.size
            layer.running_mean.lerp_(mean, share)
            layer.running_var.lerp_(variance * (count / (count - 1)), share)
    shape = [1, -1, *[1] * (inputs.dim() - 2)]
    scale = (variance + layer.eps).rsqrt() * (layer.weight if layer.affine else 1.0)
    # The mean first: of numbers that lie close together, a product and a sum would leave ten times the rounding.
    outputs = (inputs - mean.view(shape)) * scale.view(shape)
    return outputs + layer.bias.view(shape) if layer.affine else outputs


def _dropped(layer: nn.Dropout, inputs: Tensor, world: World) -> Tensor:
    """Dropout with this share's part of what one process would draw for the whole batch, and as many draws."""
    rows = len(inputs)
    whole = inputs.detach().new_empty(rows * world.size, *inputs.shape[1:])
    if inputs.dim() == 4 and inputs.is_contiguous(memory_format=torch.channels_last):
        whole = whole.to(memory_format=torch.channels_last)
    drawn = functional.dropout(whole.fill_(1.0), layer.p)
    return inputs * drawn[world.rank * rows : (world.rank + 1) * rows]
