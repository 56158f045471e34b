"""A published checkpoint becomes a backbone of ours: unwrapped, recognised, and loaded strictly or not at all.

Nothing is guessed in silence: what was taken off, filled in or left out stands in the notes, and what does not fit is an
error that names the keys. (Peers log "failed!" and train on with random weights.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairlab.errors import Damaged, FairLabError
from fairlab.files import sha256
from fairlab.models.base import BACKBONES
from fairlab.models.files.heads import HEAD_WRAPPERS, choose_head, is_head_key
from fairlab.models.files.inert import Inert
from fairlab.models.files.layouts import ANCHORS, Recognised, recognise, within
from fairlab.models.files.nearest import unknown
from fairlab.models.files.origin import Clues, as_published, chosen_origin, origin_of
from fairlab.models.files.reading import own, read_checkpoint
from fairlab.models.preprocessing import Preprocessing, preprocessing_of
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone

WRAPPERS = ("state_dict_backbone", "state_dict", "model_state_dict", "model", "backbone", "net")
PREFIXES = ("module.", "backbone.", "model.", "net.", "features.module.", "feat_net.", "encoder.", "_orig_mod.")
"""Of wrapped networks; the last is torch.compile's."""
WITH_FEATURES = (*PREFIXES, "features.")
"""MagFace's wrapper; not before a head, where features.weight is iResNet's last norm."""
DEEPEST = 4
"""Wrappers or prefixes around each other; more than any code base has. A pickle can hold a dict that holds itself."""
COUNTER = "num_batches_tracked"
MASK = "mask_token"
"""Stands for a masked patch while training; some files have it, no embedding needs it."""
SHOWN = 3


@dataclass(frozen=True)
class Imported:
    """A checkpoint that fits one of our backbones.

    tensors: the state dict of BACKBONES[backbone.name](backbone, image_px), float32, independent of the file.
    head: class centres (classes, dim), raw, or None. confirm: fields of `preprocessing` that the file does not tell and
    the user must confirm. notes: sentences about what was done. sha256: of the whole file.
    """

    family: str
    backbone: Backbone
    image_px: int
    tensors: dict[str, Tensor]
    head: Tensor | None
    preprocessing: Preprocessing
    confirm: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str

    def network(self) -> nn.Module:
        """The backbone with these weights on the CPU, in evaluation mode: (B, 3, P, P) -> raw embedding (B, D)."""
        network = _meta(self.backbone, self.image_px)  # without drawing weights that are replaced at once
        network.load_state_dict({name: tensor.clone() for name, tensor in self.tensors.items()}, assign=True)
        return network.eval()


def import_checkpoint(path: Path, publisher: str = "") -> Imported:
    """Read a checkpoint of a published face network: safetensors, or torch.save under any name.

    publisher: whose code it comes from (preprocessing.PUBLISHERS), where the file does not tell. Raises FairLabError: one
    sentence with the file and what is wrong; Refused for files that ask for code or declare too much, Damaged for broken
    ones.
    """
    content = read_checkpoint(path)
    fingerprint = sha256(path)
    levels, wrapped = unwrapped(content)
    tensors = {str(key): value for key, value in levels[-1].items() if isinstance(value, Tensor)}
    notes = [f"unwrapped {name}" for name in wrapped]
    if others := [str(key) for key, value in levels[-1].items() if not isinstance(value, Tensor)]:
        notes.append(f"left out what is not a tensor: {few(others)}" if tensors else "")
    notes.append(_objects(levels))
    prefix = _prefix(tensors, str(path))
    if prefix:
        notes.append(f"removed the prefix {prefix} from the keys")
    inside = tuple(prefix + name for name in within({key[len(prefix) :] for key in tensors if key.startswith(prefix)}))
    apart = {
        key
        for key in tensors
        if not key.startswith(prefix) or (is_head_key(key, PREFIXES) and not key.startswith(inside))
    }
    body = {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key not in apart}
    if strange := [key for key in apart if not _is_head(key, prefix)]:
        raise FairLabError(f"{path} holds more than a backbone under {prefix} and a head: {few(sorted(strange))}")
    found = recognise({key: tuple(tensor.shape) for key, tensor in body.items()}, str(path))
    if found is None:
        raise FairLabError(unknown(body, str(path)))
    heads = {key: tensors[key] for key in tensors if key in apart} | _beside(levels)
    clues = Clues(path, content, prefix, list(heads), body)
    origin = chosen_origin(publisher, found, str(path)) if publisher else origin_of(found, clues)
    found = as_published(found, origin.publisher)
    state, more = _fitted(body, found, str(path))
    head, words = choose_head(heads, found.backbone.embedding_dim, str(path)) if heads else (None, [])
    if head is not None and found.family == "timm_vit":  # of objects, not of people
        words = [f"left out the classifier {few(sorted(heads))}: of {len(head)} classes that are not people"]
        head = None
    return Imported(
        found.family,
        found.backbone,
        found.image_px,
        state,
        head,
        preprocessing_of(origin.publisher, found.image_px),
        origin.confirm,
        tuple(note for note in [*notes, *more, *words, *origin.notes] if note),
        fingerprint,
    )


def _objects(levels: Sequence[Mapping[str, Any]]) -> str:
    """What lies beside the tensors and would need code to be read."""
    names = {value.name for level in levels for value in level.values() if isinstance(value, Inert)}
    return f"left out, without running their code: {few(sorted(names))}" if names else ""


def _is_head(key: str, prefix: str) -> bool:
    """Whether a key is a head's; MagFace keeps its head as fc beside features."""
    return is_head_key(key, PREFIXES) or (
        prefix.endswith("features.") and key == prefix[: -len("features.")] + "fc.weight"
    )


def import_head(path: Path | Sequence[Path], embedding_dim: int) -> Tensor:
    """Class centres (classes, dim) from a file of their own, in either layout: kernel [dim, classes], weight [classes, dim].

    Several paths are the parts of a PartialFC head, one per rank, put together in the given order. Raises FairLabError.
    """
    parts = []
    for file in [path] if isinstance(path, Path) else path:
        levels, _ = unwrapped(read_checkpoint(file))
        plain = {str(key): value for key, value in levels[-1].items() if isinstance(value, Tensor)}
        heads = {key: value for key, value in plain.items() if is_head_key(key, PREFIXES)} | _beside(levels) or plain
        head, words = choose_head(heads, embedding_dim, str(file))
        if head is None:
            raise FairLabError(words[0] if words else f"{file} holds no head; found: {few(list(plain))}")
        parts.append(head)
    if not parts:
        raise FairLabError("choose at least one file that holds a head")
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def unwrapped(content: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The levels of wrappers down to the first that holds tensors, and the names that led there."""
    levels, names = [content], list[str]()
    while len(levels) <= DEEPEST and not any(isinstance(value, Tensor) for value in levels[-1].values()):
        name = next((name for name in WRAPPERS if isinstance(levels[-1].get(name), Mapping)), None)
        if name is None:
            break
        levels.append(levels[-1][name])
        names.append(name)
    return levels, names


def _beside(levels: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Heads that stand beside the backbone's wrapper, such as arcface_torch's state_dict_softmax_fc."""
    return {
        f"{name}.{key}": tensor
        for level in levels
        for name in HEAD_WRAPPERS
        if isinstance(level.get(name), Mapping)
        for key, tensor in level[name].items()
        if isinstance(tensor, Tensor)
    }


def _prefix(keys: Mapping[str, Tensor], where: str) -> str:
    """The prefix after which a known anchor key stands; taking off more would break MobileFaceNet's `conv_3.model.0`."""
    prefixes = [""]
    for _ in range(DEEPEST):
        revealing = [prefix for prefix in prefixes if any(prefix + anchor in keys for anchor in ANCHORS)]
        if len(revealing) == 1:
            return revealing[0]
        if revealing:
            raise FairLabError(
                f"{where} holds more than one backbone ({few(revealing)}); save the one you want on its own"
            )
        longer = dict.fromkeys(prefix + more for prefix in prefixes for more in WITH_FEATURES)
        prefixes = [prefix for prefix in longer if any(key.startswith(prefix) for key in keys)]
    heads = [key for key in keys if is_head_key(key, PREFIXES)]
    if heads and len(heads) == len(keys):
        raise FairLabError(f"{where} holds a head ({few(heads)}) and no backbone; import it as the head of a backbone")
    raise FairLabError(unknown(keys, where))


def _meta(backbone: Backbone, image_px: int) -> nn.Module:
    with shapes_only():
        return BACKBONES[backbone.name](backbone, image_px)


def _fitted(body: dict[str, Tensor], found: Recognised, where: str) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of the recognised network, whole and float32. Only counters of batches may be missing."""
    expected = _meta(found.backbone, found.image_px).state_dict()
    absent = [key for key in expected if key not in body]
    missing = [key for key in absent if not key.endswith((COUNTER, MASK))]
    extra = [key for key in body if key not in expected]
    wrong = [
        f"{key} is {list(body[key].shape)} of {_kind(body[key])}, not {list(tensor.shape)} of {_kind(tensor)}"
        for key, tensor in expected.items()
        if key in body
        and not (key.endswith(COUNTER) and body[key].shape == tensor.shape)  # of any kind: it only counts
        and (body[key].shape != tensor.shape or body[key].is_floating_point() != tensor.is_floating_point())
    ]
    faults = [("missing", missing), ("not known", extra), ("other shape", wrong)]
    if told := [f"{word}: {few(keys)}" for word, keys in faults if keys]:
        raise FairLabError(f"{where} does not fit {found.backbone.name}: {'; '.join(told)}")
    state = {key: own(body[key], key, where) for key in expected if key in body}
    state |= {key: tensor.to(torch.int64) for key, tensor in state.items() if key.endswith(COUNTER)}
    if unsound := [key for key, tensor in state.items() if not bool(torch.isfinite(tensor).all())]:
        raise Damaged(f"{where} holds weights that are not finite: {few(unsound)}")
    notes = []
    if kinds := sorted({_kind(body[key]) for key in state} - {"float32", "int64"}):
        notes.append(f"stored as {', '.join(kinds)}, converted to float32")
    if counters := sum(key.endswith(COUNTER) for key in absent):
        notes.append(f"{counters} counters {COUNTER} were missing and start at 0")
    return {key: state.get(key, torch.zeros(like.shape, dtype=like.dtype)) for key, like in expected.items()}, notes


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def few(names: Sequence[str]) -> str:
    """The first few of a list and how many there are."""
    more = f" ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
