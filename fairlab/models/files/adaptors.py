"""An adaptor of MST-KD's official code becomes one of ours: recognised by its keys and shapes, renamed, loaded strictly.

Classes FC_mapping and DualLayer_Adaptor of EduardaCaldeira/MST-KD e8b2817 (backbones/iresnet.py:178-227). The files do not
say everything: SL (fusion) and positioning have the same keys and shapes, and so have DuL and DLDPO. Folder names or
the user decide, and the notes say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import sha256
from fairlab.models.base import ADAPTORS
from fairlab.models.files.importing import PREFIXES, few, unwrapped
from fairlab.models.files.reading import own, read_checkpoint
from fairlab.settings.study import Adaptor

ONE_LAYER = ("fc.weight", "fc.bias")
TWO_LAYERS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
UNUSED = ("key_vector", "value_vector", "attention.in_proj_weight", "attention.in_proj_bias",
          "attention.out_proj.weight", "attention.out_proj.bias")  # fmt: skip
"""Of DualLayer_Adaptor: always built, used only where attention was switched on."""
STARTS_AT_ZERO = ("attention.in_proj_bias", "attention.out_proj.bias")
"""torch starts both at zero. SGD leaves a bias without a gradient there, also with weight decay."""
OURS = {
    "sl": {"fc.weight": "weight", "fc.bias": "bias"},
    "positioning": {"fc.weight": "linear.weight", "fc.bias": "linear.bias"},
    "encoding": {"fc.weight": "linear.weight", "fc.bias": "linear.bias"},
    "dul": {"fc1.weight": "0.weight", "fc1.bias": "0.bias", "fc2.weight": "2.weight", "fc2.bias": "2.bias"},
    "dldpo": {"fc1.weight": "0.weight", "fc1.bias": "0.bias", "fc2.weight": "3.weight", "fc2.bias": "3.bias"},
}
"""The official name of each tensor -> ours, by adaptor."""
DEPTH = 6
"""Folders of the authors' tree above a file: EArcAdapter/baseline/dropout_dual_layer_512/iresnet34/lr_1_ep_26/fusion."""
SAME_KEYS = "its keys fit sl (fusion) and positioning alike"
NO_TRACE = "a LeakyReLU behind the second layer (is_dual_leaky) leaves no trace in the file; it is assumed to be off"


@dataclass(frozen=True)
class ImportedAdaptor:
    """An adaptor's file, understood. columns: of its first layer; tensors: the state dict of ADAPTORS[settings.name],
    float32, independent of the file; notes: sentences about what the file does not say; sha256: of the whole file."""

    settings: Adaptor
    columns: int
    tensors: dict[str, Tensor]
    notes: tuple[str, ...]
    sha256: str

    @property
    def parameters(self) -> int:
        """How many numbers are used."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def network(self, input_dims: tuple[int, ...]) -> nn.Module:
        """The adaptor over parents of these lengths, on the CPU in evaluation mode."""
        network = ADAPTORS[self.settings.name](self.settings, input_dims)
        network.load_state_dict(self.tensors)
        return network.eval()


def import_adaptor(path: Path, name: str = "") -> ImportedAdaptor | None:
    """The adaptor in a file, or None where the file holds something else.

    name: of one in OURS, where the user knows it; empty: as keys, shapes and folder names say. Raises FairLabError for an
    adaptor that is none of ours: trained attention, tensors of other shapes, further tensors; Damaged for values that are
    not finite; and as reading.read_checkpoint.
    """
    levels, _ = unwrapped(read_checkpoint(path))
    found = {str(key): value for key, value in levels[-1].items() if isinstance(value, Tensor)}
    tensors = _without_prefix(found)
    layers: tuple[str, ...] = ONE_LAYER
    if "fc1.weight" in tensors and "fc2.weight" in tensors:
        layers = TWO_LAYERS
        _check_keys(tensors, path)
    elif set(tensors) != set(ONE_LAYER):
        return None
    _check_shapes(tensors, layers, path)
    rows, columns = tensors[layers[0]].shape
    chosen, notes = _one(name, rows, columns, path) if layers == ONE_LAYER else _two(name, path)
    state = {OURS[chosen][key]: own(tensors[key], key, str(path)) for key in layers}
    if unsound := [key for key in layers if not bool(torch.isfinite(tensors[key]).all())]:
        raise Damaged(f"{path} holds weights that are not finite: {few(unsound)}")
    dim = int(tensors[layers[-1]].shape[0])
    settings = Adaptor(name=chosen, embedding_dim=dim, hidden_dim=0 if rows == dim else int(rows))
    return ImportedAdaptor(settings, int(columns), state, tuple(notes), sha256(path))


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrapped networks put before every key, e.g. "module."."""
    prefix = next((one for one in PREFIXES if tensors and all(key.startswith(one) for key in tensors)), "")
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items()}


def _check_keys(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FairLabError unless this is DualLayer_Adaptor whose attention was never used."""
    if missing := [key for key in TWO_LAYERS if key not in tensors]:
        raise FairLabError(f"{path} is an adaptor of two layers without {few(missing)}")
    if strange := sorted(tensors.keys() - {*TWO_LAYERS, *UNUSED}):
        raise FairLabError(f"{path} is an adaptor of two layers with tensors that are not known: {few(strange)}")
    biases = {key: own(tensors[key], key, str(path)) for key in STARTS_AT_ZERO if key in tensors}
    trained = [key for key, bias in biases.items() if bool((bias != 0).any())]
    if trained:
        raise FairLabError(
            f"{path} is an adaptor whose attention was trained ({few(trained)} left zero); that variant looks at fixed "
            "keys between its layers and is not supported: use one that was trained with has_attention off"
        )


def _check_shapes(tensors: Mapping[str, Tensor], layers: tuple[str, ...], path: Path) -> None:
    rows = 0
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        shape, ends = tuple(tensors[weight].shape), tuple(tensors[bias].shape)
        numbers = all(tensors[key].is_floating_point() for key in (weight, bias))
        fits = len(shape) == 2 and ends == shape[:1] and min(shape) >= 1 and (not rows or shape[1] == rows)
        if not (numbers and fits):
            raise FairLabError(f"{path}: {weight} {list(shape)} and {bias} {list(ends)} do not fit an adaptor")
        rows = shape[0]
    if not 2 <= rows <= 16_384:
        raise FairLabError(f"{path} is an adaptor with {rows} outputs; a common space has 2 to 16,384 dimensions")


def _one(name: str, rows: int, columns: int, path: Path) -> tuple[str, list[str]]:
    """Which adaptor of one layer: by the user, by its shape, by its folder."""
    if name in ("dul", "dldpo"):
        raise FairLabError(f"{path} is an adaptor of one layer, not {name}; choose sl, positioning or encoding")
    if name:
        return name, []
    if columns == rows + 1:  # one column for the group's number, and one embedding of the common space's length
        return "encoding", []
    folders = _words(path)
    if "positioning" in folders:
        return "positioning", [f"{SAME_KEYS}: taken for positioning by its folder"]
    if "fusion" in folders:
        return "sl", [f"{SAME_KEYS}: taken for sl by its folder"]
    return "sl", [f"{SAME_KEYS}: sl is assumed; for the other set adaptor=positioning"]


def _two(name: str, path: Path) -> tuple[str, list[str]]:
    """Which adaptor of two layers: by the user or by its folder."""
    if name not in ("", "dul", "dldpo"):
        raise FairLabError(f"{path} is an adaptor of two layers, not {name}; choose dul or dldpo")
    same = "its keys fit dul and dldpo alike, which differ in training alone"
    if name:
        return name, [NO_TRACE]
    if "dropout" in _words(path):
        return "dldpo", [f"{same}: taken for dldpo by its folder", NO_TRACE]
    if "dual" in _words(path):
        return "dul", [f"{same}: taken for dul by its folder", NO_TRACE]
    return "dul", [f"{same}: dul is assumed", NO_TRACE]


def _words(path: Path) -> set[str]:
    """The words in the names of the nearest folders above a file: "dropout_dual_layer_512" has four."""
    return {
        word
        for part in path.absolute().parts[-1 - DEPTH : -1]
        for word in re.split(r"[^a-z0-9]+", part.lower())
        if word
    }
