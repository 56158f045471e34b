"""A checkpoint is a folder that is whole or not there; the newest whole one is where a run goes on.

checkpoints/step-00000140/ {learner,head}.safetensors, trainer.pt, manifest.json; where there are such, also the
running mean of the weights (average), the weights of the best pass so far (best_*), and what the method keeps beside
network and classifier (method). Written as a temporary folder, every file flushed, then renamed. Two are kept, so that
a damaged one costs one epoch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import behind, explain, make_folder, place_folder, verify_manifest, write_manifest
from fairlab.machine.temporaries import beside

KEPT = 2


@dataclass
class Progress:
    """Where a training stands: the next step's number (from 0) and what has been added up so far."""

    step: int = 0
    work_s: float = 0.0
    cpu_s: float = 0.0
    window: dict[str, float] = field(default_factory=dict)
    window_steps: int = 0
    best_epoch: int | None = None
    best_accuracy: float = 0.0


Tensors = dict[str, Tensor]


class Stateful(Protocol):
    """A module, an optimiser, or what stands for one whose tensors lie in several processes."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Any, /) -> Any: ...


@dataclass
class State:
    """All that a checkpoint holds, where it lives while a run trains."""

    learner: nn.Module
    head: Stateful | None
    solvers: Mapping[str, Stateful]
    parts: Callable[[], Mapping[str, Tensors]] = dict
    """Further tensors that live in modules now, by file name, e.g. "average"; filled again when a checkpoint is loaded."""
    best: dict[str, Tensors] = field(default_factory=dict)
    """Weights of the best pass so far by part ("learner", "head"), in the processor's memory."""
    scaler: torch.amp.GradScaler | None = None
    """Of fp16."""


def save(folder: Path, state: State, at: Progress, facts: Mapping[str, Any], writes: bool = True) -> Path:
    """Write the checkpoint of step `at.step` below `folder` and return its path.

    Of several processes that train together all call this, and one `writes`.

    `facts` (config hash, data fingerprint, versions, threads, device) go into the manifest. Raises FairLabError
    when the disk is full or not writable; older checkpoints stay as they are.
    """
    final = folder / f"step-{at.step:08d}"
    trainer: dict[str, Any] = {"solvers": {name: solver.state_dict() for name, solver in state.solvers.items()}}
    trainer["at"] = vars(at)
    tensors = {
        "learner": state.learner.state_dict(),
        **({} if state.head is None else {"head": state.head.state_dict()}),
    }
    if not writes or _is_whole(final):  # the same step again, after a stop; and it may be the only one
        return final
    temporary = beside(final)
    tensors |= {**state.parts(), **{f"best_{name}": kept for name, kept in state.best.items()}}
    if state.scaler is not None:
        trainer["scaler"] = state.scaler.state_dict()
    names = ["trainer.pt"]
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        for name, content in tensors.items():
            save_file(plain(content), temporary / f"{name}.safetensors")
            names.append(f"{name}.safetensors")
        with open(temporary / "trainer.pt", "wb") as handle:
            torch.save(trainer, handle)
        write_manifest(temporary, names, step=at.step, **facts)
        place_folder(temporary, final)
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # the writers hide a full disk behind texts of their own
        cause = behind(error)
        raise FairLabError(explain(cause, final, _size(tensors, trainer))) from cause
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in whole(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _is_whole(folder: Path) -> bool:
    try:
        return bool(verify_manifest(folder))
    except FairLabError:
        return False


def _size(*parts: Any) -> int:
    """About how many bytes these take on the disk: what is no tensor is small."""
    inner = [value for part in parts if isinstance(part, Mapping) for value in part.values()]
    return sum(part.nbytes for part in parts if isinstance(part, Tensor)) + (_size(*inner) if inner else 0)


def whole(folder: Path) -> list[Path]:
    """Checkpoints below `folder`, oldest first; a folder without the manifest is not one."""
    return sorted(
        path for path in folder.glob("step-*") if ".tmp." not in path.name and (path / "manifest.json").exists()
    )


def load_latest(folder: Path, state: State) -> tuple[Progress, dict[str, Any], list[str]]:
    """Fill the modules from the newest undamaged checkpoint; without one they stay as they are.

    Returns (progress, manifest facts, notes): a note for every damaged checkpoint that was passed over.
    """
    notes: list[str] = []
    for path in reversed(whole(folder)):
        try:
            facts = verify_manifest(path)
        except (Damaged, FairLabError) as error:
            notes.append(f"passed over a damaged checkpoint: {error}")
            continue
        trainer = torch.load(path / "trainer.pt", weights_only=True, map_location="cpu")
        _fill(state, path, trainer)
        return Progress(**trainer["at"]), facts, notes
    return Progress(), {}, notes


def _fill(state: State, path: Path, trainer: Mapping[str, Any]) -> None:
    state.learner.load_state_dict(load_file(path / "learner.safetensors"))
    if state.head is not None:
        state.head.load_state_dict(load_file(path / "head.safetensors"))
    for name, solver in state.solvers.items():
        solver.load_state_dict(trainer["solvers"][name])
    with torch.no_grad():
        for name, tensors in state.parts().items():
            saved = load_file(path / f"{name}.safetensors")
            for key, tensor in tensors.items():
                tensor.copy_(saved[key])
    state.best = {
        part: load_file(path / f"best_{part}.safetensors")
        for part in ("learner", "head")
        if (path / f"best_{part}.safetensors").exists()
    }
    if state.scaler is not None:
        state.scaler.load_state_dict(trainer["scaler"])


def plain(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copies in the processor's memory and in plain order (safetensors takes no channels-last views)."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
