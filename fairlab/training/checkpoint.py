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
class More:
    """What only some trainings have to remember.

    parts(): tensors that live in modules now, and are filled again when a checkpoint is loaded, by file name, e.g.
    "average";
    best: weights of the best pass so far by part ("learner", "head"), in the processor's memory; scaler: of fp16.
    """

    parts: Callable[[], Mapping[str, Tensors]] = dict
    best: dict[str, Tensors] = field(default_factory=dict)
    scaler: torch.amp.GradScaler | None = None


def save(
    folder: Path,
    learner: nn.Module,
    head: Stateful | None,
    solvers: Mapping[str, Stateful],
    at: Progress,
    facts: Mapping[str, Any],
    more: More | None = None,
    writes: bool = True,
) -> Path:
    """Write the checkpoint of step `at.step` below `folder` and return its path.

    Of several processes that train together all call this, and one `writes`.

    `facts` (config hash, data fingerprint, versions, threads, device) go into the manifest. Raises FairLabError
    when the disk is full or not writable; older checkpoints stay as they are.
    """
    final = folder / f"step-{at.step:08d}"
    state: dict[str, Any] = {"solvers": {name: solver.state_dict() for name, solver in solvers.items()}}
    state["at"] = vars(at)
    tensors = {"learner": learner.state_dict(), **({} if head is None else {"head": head.state_dict()})}
    if not writes or _is_whole(final):  # the same step again, after a stop; and it may be the only one
        return final
    temporary = beside(final)
    if more is not None:
        tensors |= {**more.parts(), **{f"best_{name}": kept for name, kept in more.best.items()}}
        if more.scaler is not None:
            state["scaler"] = more.scaler.state_dict()
    names = ["trainer.pt"]
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        for name, content in tensors.items():
            save_file(plain(content), temporary / f"{name}.safetensors")
            names.append(f"{name}.safetensors")
        with open(temporary / "trainer.pt", "wb") as handle:
            torch.save(state, handle)
        write_manifest(temporary, names, step=at.step, **facts)
        place_folder(temporary, final)
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # the writers hide a full disk behind texts of their own
        cause = behind(error)
        raise FairLabError(explain(cause, final, _size(tensors, state))) from cause
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


def load_latest(
    folder: Path,
    learner: nn.Module,
    head: Stateful | None,
    solvers: Mapping[str, Stateful],
    more: More | None = None,
) -> tuple[Progress, dict[str, Any], list[str]]:
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
        state = torch.load(path / "trainer.pt", weights_only=True, map_location="cpu")
        learner.load_state_dict(load_file(path / "learner.safetensors"))
        if head is not None:
            head.load_state_dict(load_file(path / "head.safetensors"))
        for name, solver in solvers.items():
            solver.load_state_dict(state["solvers"][name])
        if more is not None:
            _fill(more, path, state)
        return Progress(**state["at"]), facts, notes
    return Progress(), {}, notes


def _fill(more: More, path: Path, state: Mapping[str, Any]) -> None:
    with torch.no_grad():
        for name, tensors in more.parts().items():
            saved = load_file(path / f"{name}.safetensors")
            for key, tensor in tensors.items():
                tensor.copy_(saved[key])
    more.best = {
        part: load_file(path / f"best_{part}.safetensors")
        for part in ("learner", "head")
        if (path / f"best_{part}.safetensors").exists()
    }
    if more.scaler is not None:
        more.scaler.load_state_dict(state["scaler"])


def plain(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copies in the processor's memory and in plain order (safetensors takes no channels-last views)."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
