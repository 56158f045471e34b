"""Any face network as an ONNX file, frozen: images (B, 3, H, W) -> embeddings (B, D), run by onnxruntime.

A file is looked through before onnxruntime gets it (onnx_file), by a reader of our own (protobuf) and not by the package
`onnx`: that would be one more dependency beside the runtime, its checker and loader follow external data by design, and
onnxruntime's own fields would be judged by another copy of the format anyway. Here nothing is opened but the file itself,
and onnxruntime is given the very bytes that were looked at, never the path, so it has no folder to look beside.

What the look cannot bound is work: a few nodes can ask for any memory (ConstantOfShape, Expand, Tile). Load a stranger's
file first in a process of its own, with limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.onnx_file import OnnxFile, Value, look_through, read_onnx

LARGEST_PX, LARGEST_BATCH = 4096, 1024
"""More in a file's fixed sizes is a mistake, and would be allocated for the first image."""
INSTALL = "to use ONNX networks, install it with: pip install 'fairlab[onnx]'"


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX face network says about itself; images are always (batch, 3, height, width).

    image_px, embedding_dim, batch: None when the file leaves them open. normalised_inside: the graph begins with
    subtraction and scaling as insightface's zoo does, so its preprocessing record has mean 0 and std 1. notes: sentences
    for the user about what was found or assumed.
    """

    image_px: int | None
    embedding_dim: int | None
    batch: int | None
    input_name: str
    output_name: str
    opset: int
    normalised_inside: bool
    notes: tuple[str, ...]


def inspect_onnx(path: Path) -> OnnxFacts:
    """Look through an ONNX file without running it and without onnxruntime.

    Raises FairLabError: one sentence with the file and what would be right; Refused for what must not be run (values in
    other files, operators beyond the ONNX standard, more than 1 GB), Damaged for what is not whole.
    """
    return _facts(path, look_through(path, read_onnx(path)))


def _facts(path: Path, file: OnnxFile) -> OnnxFacts:
    image, notes = _image(path, file), list[str]()
    output = _embedding(path, file, notes)
    batch, _, *sides = image.dims
    px = next((side for side in sides if side), None)
    if batch is not None:
        notes.append(f"the network takes images in batches of {batch}; other numbers are run in pieces")
    if px is None:
        notes.append("the network takes images of any size; choose the one it was trained on")
    if output.dims[1] is None:
        notes.append("the file does not say how long an embedding is; the first run will show it")
    if inside := _normalised_inside(file, image.name):
        notes.append("the graph begins by subtracting and scaling: it takes pixel values, so mean 0 and std 1")
    return OnnxFacts(px, output.dims[1], batch, image.name, output.name, file.opset, inside, tuple(notes))


def _image(path: Path, file: OnnxFile) -> Value:
    """The one input, if it is an image."""
    shown = "; ".join(map(str, file.inputs))[:300] or "none"
    if len(file.inputs) != 1:
        raise FairLabError(f"{path} must have one input, the image; it has {len(file.inputs)}: {shown}")
    image = file.inputs[0]
    if image.element != "float32":
        raise FairLabError(f"{path} must take images of float32, not {shown}; export it in float32")
    if len(image.dims) != 4 or image.dims[1] != 3:
        last = len(image.dims) == 4 and image.dims[3] == 3
        remedy = "export it with channels first" if last else "choose a network for colour images"
        raise FairLabError(f"{path} must take images [batch, 3, height, width], not {shown}; {remedy}")
    sides = {side for side in image.dims[2:] if side}
    if len(sides) > 1 or max(sides, default=0) > LARGEST_PX or (image.dims[0] or 0) > LARGEST_BATCH:
        raise FairLabError(
            f"{path} must take square images of at most {LARGEST_PX} pixels, at most {LARGEST_BATCH} at a time, not {shown}"
        )
    return image


def _embedding(path: Path, file: OnnxFile, notes: list[str]) -> Value:
    """The one output of rank 2; beside it a column of norms (AdaFace) may stand, and outputs of other ranks."""
    tables = [out for out in file.outputs if len(out.dims) == 2 and out.element == "float32"]
    wide = [out for out in tables if out.dims[1] != 1] or tables
    if len(wide) != 1:
        raise FairLabError(
            f"{path} must have one output of embeddings [batch, dim] of float32; "
            f"it has {len(wide)} among {'; '.join(map(str, file.outputs))[:300] or 'none'}"
        )
    if others := [str(out) for out in file.outputs if out is not wide[0]]:
        notes.append(f"outputs that are left out: {'; '.join(others)[:300]}")
    return wide[0]


def _normalised_inside(file: OnnxFile, name: str) -> bool:
    """Whether the first nodes subtract from the image and then scale it (insightface's rule, by data flow, not names)."""
    done = set()
    for node in file.first_nodes:
        if name not in node.inputs or not node.outputs:
            continue
        if node.operator == "Sub" and node.inputs[0] == name:
            done.add("Sub")
        elif node.operator == "Mul" or (node.operator == "Div" and node.inputs[0] == name):
            done.add("scale")
        elif node.operator != "Identity":
            break
        name = node.outputs[0]
    return len(done) == 2


def load_onnx(path: Path, threads: int = 1, cuda: bool = False) -> nn.Module:
    """The network of an ONNX file: float32 images (B, 3, H, W) as its preprocessing says -> raw embeddings (B, D) float32.

    It has no parameters and no gradient; the result lies on the images' device. The same images give the same bits for the
    same number of `threads`. `cuda` asks for a GPU where this onnxruntime has one; `provider` says what it became.
    Raises what `inspect_onnx` raises, FairLabError when onnxruntime is not installed or cannot run the file.
    """
    content = read_onnx(path)
    facts = _facts(path, look_through(path, content))
    try:
        import onnxruntime
    except ImportError as error:
        raise FairLabError(f"the package onnxruntime is missing; {INSTALL}") from error
    onnxruntime.disable_telemetry_events()  # on by default in its Windows wheels
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # it prints every error that it also raises
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never its own format, which was not checked
    providers = ["CPUExecutionProvider"]
    if cuda and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    try:
        # without its fallback, which prints and tries the same again
        session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
    except Exception as error:  # it raises a dozen kinds of its own; none may pass as a traceback
        raise FairLabError(f"{path} could not be loaded by onnxruntime ({_reason(error)})") from error
    inputs = [value.name for value in session.get_inputs()]
    if inputs != [facts.input_name] or facts.output_name not in [value.name for value in session.get_outputs()]:
        raise FairLabError(f"{path} is not the network it seemed to be: onnxruntime finds the inputs {inputs}")
    return OnnxNetwork(path, facts, session).eval()


class OnnxNetwork(nn.Module):
    """See `load_onnx`. facts: of the file; provider: what runs it, e.g. CPUExecutionProvider."""

    def __init__(self, path: Path, facts: OnnxFacts, session: Any) -> None:
        super().__init__()
        self.path, self.facts = path, facts
        self.provider: str = session.get_providers()[0]
        self._session = session

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D) on the images' device. Raises FairLabError, naming the file."""
        px = self.facts.image_px
        if images.ndim != 4 or images.shape[1] != 3 or (px and tuple(images.shape[2:]) != (px, px)):
            right = f"(B, 3, {px or 'H'}, {px or 'W'})"
            raise FairLabError(f"{self.path} takes images {right}, not {tuple(images.shape)}")
        pixels = images.detach().to("cpu", torch.float32).contiguous().numpy()
        size = self.facts.batch or max(len(pixels), 1)
        parts = [self._run(pixels[at : at + size], size) for at in range(0, len(pixels), size)]
        dims = {part.shape[1] for part in parts} or {self.facts.embedding_dim or 0}
        if len(dims) > 1:
            raise FairLabError(f"{self.path} returned embeddings of different lengths: {sorted(dims)}")
        vectors = np.concatenate(parts) if parts else np.zeros((0, *dims), np.float32)
        return torch.from_numpy(vectors).to(images.device)

    def _run(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Embeddings of at most `size` images; a piece that is shorter is filled up with its last image."""
        missing = size - len(pixels)
        filled = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]) if missing else pixels
        try:
            (vectors,) = self._session.run([self.facts.output_name], {self.facts.input_name: filled})
        except Exception as error:  # as when loading
            raise FairLabError(f"{self.path} could not be run on images {filled.shape} ({_reason(error)})") from error
        dim = self.facts.embedding_dim
        if vectors.ndim != 2 or len(vectors) != size or (dim and vectors.shape[1] != dim):
            raise FairLabError(f"{self.path} returned {vectors.shape} and not ({size}, {dim or 'dim'})")
        vectors = vectors[: len(pixels)]
        if not np.isfinite(vectors).all():
            raise FairLabError(f"{self.path} returned embeddings that are not finite; is its preprocessing right?")
        return vectors


def _reason(error: Exception) -> str:
    """Onnxruntime's message on one line, without its prefix of codes."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)[:200]
