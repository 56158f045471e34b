"""What processes tell each other in a step, with gradients as one process would have them.

Rule: the loss L is computed in every process, and what runs backward is the sum over all of them, W * L. So the gradient
of a sum is the sum of all processes' gradients, and so is that of a row that was gathered.

Why not torch.distributed.nn.functional: torch 2.13 warns at each call that its all_gather and all_reduce are deprecated.
Through gloo its gather also sums gradients in another order: with three processes they differ from these by 2.4e-7, while
all_reduce gives the same bits. What torch names instead, torch.distributed._functional_collectives, gives the same bits
for both, but is private: torch 2.13 already deprecates names in it, and torch 2.10 is the oldest that FairLab runs on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        return _added(tensor)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _added(gradient)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        context.rows = len(tensor)
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        start = distributed.get_rank() * context.rows
        return _added(gradient)[start : start + context.rows]  # gloo has no reduce-scatter


def _added(tensor: Tensor) -> Tensor:
    tensor = tensor.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(tensor)
    return tensor


def summed(tensor: Tensor) -> Tensor:
    """The sum of all processes' tensors, in each."""
    added: Tensor = _Sum.apply(tensor)
    return added


def gathered(tensor: Tensor) -> Tensor:
    """All processes' rows (B, ...), as many from each, in order: (size * B, ...)."""
    rows: Tensor = _Gather.apply(tensor)
    return rows


def largest(tensor: Tensor) -> Tensor:
    """The largest of all processes' tensors, element by element; no gradient."""
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
    return tensor


def brought_together(part: Tensor, places: list[slice]) -> Tensor:
    """On the first process the rows of all, each at its place, in the processor's memory; elsewhere the part as it came.

    places: of the rows of process 0, 1, ... in the whole.
    """
    part = part.detach().cpu().contiguous()
    rank = distributed.get_rank()
    if rank > 0:
        if len(part):
            distributed.send(part, 0)
        return part
    whole = part.new_empty(places[-1].stop, *part.shape[1:])
    whole[places[0]] = part
    for sender, place in enumerate(places):
        if sender and place.stop > place.start:
            distributed.recv(whole[place], sender)
    return whole
