"""Whose templates a classifier holds: the row of one person, zeroed in weights, checkpoints and the optimiser's memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.files import behind, explain

HEADS = ("head.safetensors", "best_head.safetensors")
STATE = "trainer.pt"


def zero_rows(folder: Path, into: Path, rows: Sequence[int], classes: int) -> list[str]:
    """Write the files of a weights folder or checkpoint that hold something of each class, with these rows zero.

    Returns the names of the files written into the folder `into`: classifier, the best pass's, and the optimiser's state, where a
    class has momentum of its own. Every tensor whose first dimension counts the classes has its rows zeroed. Raises
    FairLabError when the disk is full or not writable.
    """
    try:
        return _zero_all(folder, into, rows, classes)
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # the writers hide a full disk behind texts of their own
        cause = behind(error)
        raise FairLabError(explain(cause, into)) from cause


def _zero_all(folder: Path, into: Path, rows: Sequence[int], classes: int) -> list[str]:
    changed = []
    for name in HEADS:
        if (folder / name).exists():
            tensors = load_file(folder / name)
            for tensor in tensors.values():
                _zero(tensor, rows, classes)
            into.mkdir(parents=True, exist_ok=True)
            save_file(tensors, into / name)
            changed.append(name)
    if changed and (folder / STATE).exists():
        state: dict[str, Any] = torch.load(folder / STATE, weights_only=True, map_location="cpu")
        for memory in state.get("solvers", {}).get("head", {}).get("state", {}).values():
            for value in memory.values():
                if isinstance(value, Tensor):
                    _zero(value, rows, classes)
        with open(into / STATE, "wb") as handle:  # given a path, torch does not tell why it cannot write
            torch.save(state, handle)
        changed.append(STATE)
    return changed


def _zero(tensor: Tensor, rows: Sequence[int], classes: int) -> None:
    if tensor.dim() and len(tensor) == classes:
        tensor[list(rows)] = 0
