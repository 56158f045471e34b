"""A trained network on disk: safetensors and JSON, checked against hashes, never anything that can run code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fairlab.config import Adaptor, Backbone, parse
from fairlab.errors import Damaged, FairLabError
from fairlab.files import explain, read_json, verify_manifest, write_json, write_manifest
from fairlab.models.base import ADAPTORS, BACKBONES

LEARNER, HEAD, FACTS = "learner.safetensors", "head.safetensors", "model.json"


def save_model(folder: Path, learner: nn.Module, head: nn.Module | None, facts: Mapping[str, Any]) -> None:
    """Write the network (and its classifier) with the facts that rebuild it, as a folder that is whole or not there.

    `facts`: {"kind": "backbone", "settings", "image_px"} or {"kind": "adaptor", "settings", "input_dims"}, and more.
    """
    temporary = folder.with_name(f"{folder.name}.tmp.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(_tensors(learner), temporary / LEARNER)
        names = [LEARNER, FACTS]
        if head is not None:
            save_file(_tensors(head), temporary / HEAD)
            names.append(HEAD)
        write_json(temporary / FACTS, dict(facts))
        write_manifest(temporary, names)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def load_learner(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and its facts. Raises Damaged for bad files, FairLabError for missing ones."""
    if not (folder / FACTS).exists():
        raise FairLabError(f"there is no trained network in {folder}; finish or resume its run first")
    verify_manifest(folder)
    facts = read_json(folder / FACTS)
    where = str(folder / FACTS)
    if facts["kind"] == "backbone":
        backbone = parse(Backbone, facts["settings"], where)
        learner = BACKBONES[backbone.name](backbone, int(facts["image_px"]))
    else:
        adaptor = parse(Adaptor, facts["settings"], where)
        learner = ADAPTORS[adaptor.name](adaptor, tuple(facts["input_dims"]))
    try:
        learner.load_state_dict(load_file(folder / LEARNER))
    except RuntimeError as error:
        raise Damaged(f"{folder / LEARNER} does not fit {where}: {error}") from error
    return learner.eval(), facts


def load_head(folder: Path) -> dict[str, Tensor]:
    """The classifier's tensors, e.g. weight (C, D). Raises FairLabError when the run had no classifier."""
    if not (folder / HEAD).exists():
        raise FairLabError(f"the network in {folder} has no classifier")
    verify_manifest(folder)
    tensors: dict[str, Tensor] = load_file(folder / HEAD)
    return tensors
