"""Heads in checkpoints: which tensor holds the class centres, and which way round it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fairlab.errors import Damaged
from fairlab.models.files.reading import own

HEAD_WRAPPERS = ("state_dict_softmax_fc", "state_dict_head", "head", "header", "classifier")
"""Names beside the backbone's wrapper; the first is arcface_torch's."""
HEAD_PREFIXES = ("head.", "header.", "classifier.", "partial_fc.", "parallel_fc.")
HEAD_NAMES = ("kernel", "weight")
"""Bare: ElasticFace's kernel [dim, classes], PartialFC's weight [classes, dim]."""


def is_head_key(key: str, prefixes: Sequence[str]) -> bool:
    """Whether a key of a state dict belongs to a head, behind any of the `prefixes` of wrapped networks."""
    while not key.startswith(HEAD_PREFIXES):
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is None:
            return key in HEAD_NAMES
        key = key[len(prefix) :]
    return True


def choose_head(tensors: Mapping[str, Tensor], dim: int, where: str) -> tuple[Tensor | None, list[str]]:
    """The class centres (classes, dim) among a head's tensors, or None; and what there is to say, in sentences.

    The shape decides which side is the embedding. MagFace stores [dim, classes] under the name weight, so the name
    decides only when both sides are `dim` long. Raises Damaged for values that are not finite.
    """
    flat = {key: tensor for key, tensor in tensors.items() if tensor.dim() == 2}
    fitting = {key: tensor for key, tensor in flat.items() if dim in tensor.shape}
    if len(fitting) != 1:
        shapes = ", ".join(f"{key} {list(tensor.shape)}" for key, tensor in list(flat.items() or tensors.items())[:3])
        return None, [f"{where} holds no single head for embeddings of {dim}: {shapes or 'no tensors'}"]
    ((key, stored),) = fitting.items()
    upright = key.rpartition(".")[2] != "kernel" if stored.shape[0] == stored.shape[1] else stored.shape[1] == dim
    head = own(stored if upright else stored.t(), key, where)
    if not bool(torch.isfinite(head).all()):
        raise Damaged(f"{where} holds a head with values that are not finite: {key}")
    notes = [f"head {key} of {head.shape[0]} identities; a file of one rank of several holds only that rank's"]
    if others := sorted(tensors.keys() - {key}):
        notes.append(f"left out next to the head: {', '.join(others[:3])}")
    return head, notes
