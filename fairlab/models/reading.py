"""Checkpoints of strangers: their tensors, without running what they hold and without allocating what they claim.

Every file is looked through before it is loaded: how many bytes it declares (zip members, storages, safetensors header)
and which Python names its pickle asks for. Then torch.load with weights_only=True, always; there is no other way in.
"""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from fairlab.errors import Damaged, FairLabError, Refused

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
CAP_BYTES = 8 * 2**30
"""Tensors that a file may declare. The largest known are smaller: iResNet-200 with the head of Glint360K and the momentum
of both is 2.4 GB, the head of WebFace42M (2 million identities) 4.2 GB. More would not fit a laptop's memory."""
HEADER_BYTES = 2 * 2**20
"""Of a safetensors header. The longest list of keys here (iResNet-200, 1,807) takes 0.2 MB."""
PICKLE_BYTES = 4 * 2**20
"""Of the pickle beside the tensors. That of iResNet-200 with its optimizer takes 0.5 MB; a pickle is read by Python,
op by op, so this also bounds the time."""

ELEMENT_BYTES = {
    f"torch.{kind}Storage": size
    for size, kinds in {1: "Bool Byte Char", 2: "Short Half BFloat16", 4: "Int Float", 8: "Long Double ComplexFloat"}.items()
    for kind in kinds.split()
} | {"torch.storage.UntypedStorage": 1, "torch.ComplexDoubleStorage": 16}  # fmt: skip
HARMLESS = {
    "collections.OrderedDict", "collections.Counter", "builtins.set", "_codecs.encode", "torch.Size", "torch.device",
    "torch.nn.parameter.Parameter", "torch.serialization._get_layout", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3",
}  # fmt: skip
"""Names that a state dict needs. torch allows more, some of which allocate what they are told (bytearray, FloatTensor)."""
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess"}
"""Modules as pickles of protocol 2, which torch writes, still call them."""
_UNKNOWN = object()


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What a checkpoint file holds: names to tensors (on the CPU, mapped from the file where possible) or to more names.

    Raises FairLabError (missing, no checkpoint), Refused (asks for code, declares too much) or Damaged.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FairLabError(
            f"{path} is no checkpoint that can be imported; its name must end with {', '.join(SUFFIXES)}"
        )
    try:
        size = path.stat().st_size
        if path.suffix.lower() == ".safetensors":
            return _safetensors(path, size)
        with open(path, "rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        (_check_zip if zipped else _check_legacy)(path, size)
        return _torch(path, zipped)
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist") from error
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error


def _safetensors(path: Path, size: int) -> dict[str, Any]:
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise Damaged(f"{path} is no safetensors file: it declares a header of {length} bytes and has {size}")
        if length > HEADER_BYTES:
            raise Refused(f"{path} declares a header of {length} bytes; at most {HEADER_BYTES} are read")
        try:
            entries = json.loads(file.read(length))
            ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"{path} is no safetensors file: its header is not as the format says") from error
    _check_sum(path, max(ends, default=0), size)
    try:
        with safe_open(path, framework="pt", device="cpu") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise Damaged(f"{path} is no safetensors file: {error}") from error


def _check_sum(path: Path, declared: int, size: int) -> None:
    if declared > CAP_BYTES:
        raise Refused(f"{path} declares {declared / 1e9:.1f} GB of tensors; at most {CAP_BYTES / 1e9:.1f} GB are read")
    if declared > size:
        raise Damaged(f"{path} declares {declared} bytes of tensors but is {size} bytes long")


def _check_zip(path: Path, size: int) -> None:
    """The members of a file of torch >= 1.6: stored as they are, not more than the file holds, one pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(Path(member.filename).name == "constants.pkl" for member in members):
                raise Refused(f"{path} is a TorchScript archive, which holds code; {RE_EXPORT}")
            _check_sum(path, sum(member.file_size for member in members), size)
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise Refused(f"{path} has compressed members, which torch.save never writes; {RE_EXPORT}")
            pickles = [member for member in members if Path(member.filename).name == "data.pkl"]
            if len(pickles) != 1:
                raise Damaged(f"{path} is no checkpoint of torch: it holds {len(pickles)} files data.pkl, not 1")
            if pickles[0].file_size > PICKLE_BYTES:
                raise Refused(f"{path} holds a pickle of {pickles[0].file_size} bytes; at most {PICKLE_BYTES} are read")
            content = archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise Damaged(f"{path} is not a whole checkpoint of torch: {error}") from error
    _check_sum(path, _declared(path, io.BytesIO(content)), size)


def _check_legacy(path: Path, size: int) -> None:
    """A file of torch < 1.6: five pickles (magic number, version, system, content, keys), then the raw storages."""
    with open(path, "rb") as file:
        stream = io.BytesIO(file.read(PICKLE_BYTES))
    _check_sum(path, sum(_declared(path, stream) for _ in range(5)), size)


def _declared(path: Path, stream: io.BytesIO) -> int:
    """Bytes of all storages that the pickle at the stream's position declares, and a look at the names it asks for.

    Only the form in which torch writes a storage counts: MARK, 'storage', its type, key, place, number of elements (and in
    old files None), TUPLE, BINPERSID; anything else before a BINPERSID is refused. Nothing is built. Raises Refused, Damaged.
    """
    memo: dict[Any, Any] = {}
    items: list[Any] = []  # what was pushed since the last operation that is not followed
    storages: dict[str, int] = {}
    try:
        for operation, argument, _ in pickletools.genops(stream):
            name = operation.name
            if name == "MARK":
                items = []
            elif name == "TUPLE":
                items = [tuple(items)]
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = items[-1] if items else _UNKNOWN
            elif name == "MEMOIZE":
                memo[len(memo)] = items[-1] if items else _UNKNOWN
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                items.append(memo.get(argument, _UNKNOWN))
            elif name in ("GLOBAL", "INST"):
                items.append(_allowed(path, *str(argument).split(" ", 1)))
            elif name == "STACK_GLOBAL":  # torch writes none; the name is on the stack
                items.append(_allowed(path, *(str(item) for item in items[-2:])))
            elif name == "NONE":
                items.append(None)
            elif name == "BINPERSID":
                kind, key, count = _storage(path, items[-1] if items else None)
                storages[key] = max(storages.get(key, 0), ELEMENT_BYTES[kind] * count)
                items = []
            elif argument is not None and name != "PROTO":
                items.append(argument)
            else:
                items = []
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise Damaged(f"{path} is no checkpoint of torch: {error}") from error
    return sum(storages.values())


def _storage(path: Path, form: Any) -> tuple[str, str, int]:
    if isinstance(form, tuple) and len(form) == 6 and form[5] is None:
        form = form[:5]  # files of torch < 1.6 name a view here, or None
    match form:
        case ("storage", str(kind), str(key), str(), int(count)) if kind in ELEMENT_BYTES and count >= 0:
            return kind, key, count
    raise Refused(f"{path} declares its tensors in a way that torch.save does not write; {RE_EXPORT}")


def _allowed(path: Path, module: str = "?", name: str = "?") -> str:
    full = f"{OLD_NAMES.get(module, module)}.{name}"
    known = full in HARMLESS or full in ELEMENT_BYTES or (module == "torch" and _is_dtype(name))
    if not known:
        raise Refused(f"{path} asks for {full}, which could run code and was not loaded; {RE_EXPORT}")
    return full


def _is_dtype(name: str) -> bool:
    return isinstance(getattr(torch, name, None), torch.dtype)


RE_EXPORT = "where the file comes from, save the weights alone: torch.save(network.state_dict(), 'weights.pth')"


def _torch(path: Path, zipped: bool) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for a broken file; none may pass as a traceback
        first = " ".join(str(error).split(". ")[0].split())
        raise Damaged(f"{path} could not be loaded as weights ({first}); {RE_EXPORT}") from error
    if isinstance(content, torch.Tensor):
        return {"weight": content}  # rank_k_softmax_weight.pt of early PartialFC: the head, bare
    if not isinstance(content, Mapping):
        raise FairLabError(f"{path} holds a {type(content).__name__}, not named tensors; {RE_EXPORT}")
    return content


def own(tensor: torch.Tensor, key: str, where: str) -> torch.Tensor:
    """A contiguous copy that no longer needs the file, floats as float32. Raises Refused.

    A tensor that is not plain, or larger than its storage (one value repeated a billion times), is refused: it would
    allocate far more than the file declared.
    """
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise Refused(f"{where}: {key} is not a plain tensor; {RE_EXPORT}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise Refused(f"{where}: {key} claims more values than the file holds; {RE_EXPORT}")
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(kind, copy=True, memory_format=torch.contiguous_format)
