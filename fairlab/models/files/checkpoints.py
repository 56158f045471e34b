"""A trained network on disk: safetensors and JSON, checked against hashes, never anything that can run code."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import (
    behind,
    explain,
    make_folder,
    place_folder,
    read_json,
    verify_manifest,
    write_json,
    write_manifest,
)
from fairlab.machine.temporaries import beside
from fairlab.models.backbones.projected import Projected
from fairlab.models.base import ADAPTORS, BACKBONES
from fairlab.settings.backbone import backbone_kind
from fairlab.settings.study import Adaptor, parse

LEARNER, HEAD, FACTS = "learner.safetensors", "head.safetensors", "model.json"
GRAPH = "model.onnx"
"""In place of LEARNER where the network is a graph of its own."""


def save_model(
    folder: Path, learner: nn.Module, head: nn.Module | Mapping[str, Tensor] | None, facts: Mapping[str, Any]
) -> None:
    """Write a network, its classifier and what rebuilds it as a folder that is whole or not there.

    `facts`: {"kind": "backbone", "settings", "image_px"}, with "project_to" for a Projected one, or {"kind": "adaptor",
    "settings", "input_dims"}; more may stand beside. A folder that was there is replaced. Raises FairLabError when the
    disk says no.
    """

    def write(temporary: Path) -> list[str]:
        save_file(_tensors(learner), temporary / LEARNER)
        if head is None:
            return [LEARNER]
        save_file(_tensors(head), temporary / HEAD)
        return [LEARNER, HEAD]

    _save(folder, write, facts)


def save_graph(folder: Path, graph: Path, facts: Mapping[str, Any]) -> None:
    """Keep a copy of an ONNX file as a model, with its weights where they stand in a file beside it; facts: {"kind": "onnx",
    ...}. As save_model otherwise."""
    from fairlab.models.files.onnx import read_whole

    def write(temporary: Path) -> list[str]:
        (temporary / GRAPH).write_bytes(read_whole(graph))
        return [GRAPH]

    _save(folder, write, facts)


def _save(folder: Path, write: Callable[[Path], list[str]], facts: Mapping[str, Any]) -> None:
    temporary = beside(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folder(temporary)
        names = write(temporary)
        write_json(temporary / FACTS, dict(facts))
        write_manifest(temporary, [*names, FACTS])
        place_folder(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    except SafetensorError as error:
        cause = behind(error)
        raise FairLabError(explain(cause, folder)) from cause
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tensors(module: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = module.state_dict() if isinstance(module, nn.Module) else module
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def read_facts(folder: Path) -> dict[str, Any]:
    """What is known of the network in `folder`. Raises FairLabError when there is none."""
    if not (folder / FACTS).exists():
        raise FairLabError(f"there is no trained network in {folder}; finish or resume its run first")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict):
        raise Damaged(f"{folder / FACTS} does not describe a network")
    return facts


def load_learner(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network on the CPU in evaluation mode, and its facts.

    Raises FairLabError when there is no network, Damaged when its files are not as they were written.
    """
    facts = read_facts(folder)
    if facts.get("kind") == "onnx":
        from fairlab.models.files.onnx import load_onnx

        verify_manifest(folder)
        return load_onnx(folder / GRAPH), facts
    tensors = _verified(folder, LEARNER)
    learner = _built(facts, str(folder / FACTS))
    expected = learner.state_dict()
    strange = sorted(expected.keys() ^ tensors.keys()) or sorted(
        name for name, tensor in expected.items() if tensor.shape != tensors[name].shape
    )
    if strange:
        raise Damaged(f"{folder / LEARNER} is not the network that {FACTS} describes: see {strange[0]}")
    learner.load_state_dict(tensors)
    return learner.eval(), facts


def load_head(folder: Path) -> dict[str, Tensor]:
    """The classifier's tensors, e.g. weight (C, D). Raises FairLabError when the run had no classifier."""
    if (folder / FACTS).exists() and not (folder / HEAD).exists():
        raise FairLabError(f"the network in {folder} has no classifier; choose a run with an identity loss")
    return _verified(folder, HEAD)


def _verified(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of one file, after all hashes of the folder have been checked."""
    read_facts(folder)
    listed = verify_manifest(folder)["files"]
    if missing := {name, FACTS} - set(listed):
        raise Damaged(f"the manifest in {folder} does not list {min(missing)}, so it cannot be trusted")
    try:
        tensors: dict[str, Tensor] = load_file(folder / name)
    except SafetensorError as error:
        raise Damaged(f"{folder / name} is not a safetensors file: {error}") from error
    return tensors


def _built(facts: Mapping[str, Any], where: str) -> nn.Module:
    """The untrained network that the facts describe."""
    try:
        if facts["kind"] == "backbone":
            backbone = parse(backbone_kind(facts["settings"].get("name")), facts["settings"], where)
            network = BACKBONES[backbone.name](backbone, int(facts["image_px"]))
            if "project_to" in facts:
                return Projected(network, backbone.embedding_dim, int(facts["project_to"]))
            return network
        if facts["kind"] == "adaptor":
            adaptor = parse(Adaptor, facts["settings"], where)
            return ADAPTORS[adaptor.name](adaptor, tuple(int(dim) for dim in facts["input_dims"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"{where} does not say how to build its network: {error}") from error
    raise Damaged(f"{where}: kind is {facts['kind']!r}, known are 'backbone', 'adaptor' and 'onnx'")
