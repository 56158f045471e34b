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
from torch.nn import functional

from fairlab.errors import FairLabError, Refused
from fairlab.models.files.onnx_external import with_external_data
from fairlab.models.files.onnx_file import OnnxFile, Value, look_through, read_onnx

LARGEST_PX, LARGEST_BATCH, LONGEST = 4096, 1024, 1 << 16
"""More in a file's fixed sizes is a mistake, and would be allocated for the first image; numbers of an embedding at most."""
FLOATS = ("float32", "float16")
PIXELS = (*FLOATS, "uint8")
POINTS = 5
FACE = ((0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82))
"""About where an aligned face has them, as shares of the crop: what a graph is tried with."""
LANDMARKS = (
    "the network takes the landmarks of each face too: x and y of two eyes, nose and two mouth corners, as shares of the crop's "
    "width and height"
)
_SAME = 0.9999  # cosine; rounding in float16 stays above
INSTALL = "to use ONNX networks, install it with: pip install 'fairlab[onnx]'"


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX face network says about itself.

    image_px, embedding_dim, batch: None when the file leaves them open. normalised_inside: the graph begins with
    subtraction and scaling as insightface's zoo does, so its preprocessing record has mean 0 and std 1. notes: sentences
    for the user about what was found or assumed. channels_last: it takes (batch, height, width, 3) of `element`.
    landmarks: its second input, of five points beside each image, or None.
    """

    image_px: int | None
    embedding_dim: int | None
    batch: int | None
    input_name: str
    output_name: str
    opset: int
    normalised_inside: bool
    notes: tuple[str, ...]
    channels_last: bool = False
    element: str = "float32"
    landmarks: Value | None = None


def inspect_onnx(path: Path) -> OnnxFacts:
    """Look through an ONNX file without running it and without onnxruntime.

    Raises FairLabError: one sentence with the file and what would be right; Refused for what must not be run (values in
    other files, operators beyond the ONNX standard, more than 1 GB), Damaged for what is not whole.
    """
    return _facts(path, look_through(path, read_whole(path)))


def read_whole(path: Path) -> bytes:
    """The bytes of an ONNX file with all its weights, also those in a file beside it. Raises as `inspect_onnx`."""
    return with_external_data(path, read_onnx(path))


def _facts(path: Path, file: OnnxFile) -> OnnxFacts:
    if file.training:
        raise FairLabError(
            f"{path} was exported in training mode: what it makes of a face would depend on the other faces embedded with "
            "it; export it again after model.eval()"
        )
    (image, landmarks), notes = _inputs(path, file), list[str]()
    output = _embedding(path, file, notes)
    channels_last = image.dims[1] != 3
    batch, sides = image.dims[0], image.dims[1:3] if channels_last else image.dims[2:]
    px = next((side for side in sides if side), None)
    if channels_last:
        notes.append("the network takes images with channels last")
    if image.element != "float32":
        notes.append(f"the network takes {image.element}")
    if batch is not None:
        notes.append(f"the network takes images in batches of {batch}; other numbers are run in pieces")
    if px is None:
        notes.append("the network takes images of any size; choose the one it was trained on")
    dim = output.dims[1] if len(output.dims) > 1 else None
    if dim is None:
        notes.append("the file does not say how long an embedding is; the first run will show it")
    elif dim > LONGEST:
        raise Refused(f"{path} makes embeddings of {dim:,} numbers; an embedding may have at most {LONGEST:,}")
    if inside := image.element == "uint8" or _normalised_inside(file, image.name):
        notes.append("the graph takes pixel values and scales them itself, so mean 0 and std 1")
    if landmarks is not None:
        notes.append(LANDMARKS)
    return OnnxFacts(
        px,
        dim,
        batch,
        image.name,
        output.name,
        file.opset,
        inside,
        tuple(notes),
        channels_last,
        image.element,
        landmarks,
    )


def _inputs(path: Path, file: OnnxFile) -> tuple[Value, Value | None]:
    """The image, and the landmarks beside it or None."""
    shown = "; ".join(map(str, file.inputs))[:300] or "none"
    landmarks = [value for value in file.inputs if value.dims[1:] in ((POINTS, 2), (2 * POINTS,))]
    if not (len(file.inputs) == 1 or (len(file.inputs) == 2 and len(landmarks) == 1)):
        raise FairLabError(
            f"{path} must have one input, the image, or a second one for landmarks, [batch, {POINTS}, 2] or "
            f"[batch, {2 * POINTS}]; it has {len(file.inputs)}: {shown}"
        )
    (image,) = [value for value in file.inputs if len(file.inputs) == 1 or value is not landmarks[0]]
    _check_image(path, image, shown)
    if len(file.inputs) == 1:
        return image, None
    if landmarks[0].element not in FLOATS or landmarks[0].dims[0] != image.dims[0]:
        raise FairLabError(
            f"{path} must take landmarks of {' or '.join(FLOATS)}, as many as images, not {shown}; export it so"
        )
    return image, landmarks[0]


def _check_image(path: Path, image: Value, shown: str) -> None:
    """Raise FairLabError for an input that is no image."""
    if image.element not in PIXELS:
        raise FairLabError(f"{path} must take images of {', '.join(PIXELS)}, not {shown}; export it in float32")
    if len(image.dims) != 4 or 3 not in (image.dims[1], image.dims[3]):
        raise FairLabError(
            f"{path} must take images [batch, 3, height, width] or [batch, height, width, 3], not {shown}; choose a network "
            "for colour images"
        )
    sides = {side for side in (image.dims[2:] if image.dims[1] == 3 else image.dims[1:3]) if side}
    if len(sides) > 1 or max(sides, default=0) > LARGEST_PX or (image.dims[0] or 0) > LARGEST_BATCH:
        raise FairLabError(
            f"{path} must take square images of at most {LARGEST_PX} pixels, at most {LARGEST_BATCH} at a time, not {shown}"
        )


def _embedding(path: Path, file: OnnxFile, notes: list[str]) -> Value:
    """The one output of rank 2, or of 4 with ones at its end; beside it a column of norms (AdaFace) may stand, and outputs of
    other ranks. Where the file gives no shapes, the only output."""
    floats = [out for out in file.outputs if out.element in FLOATS]
    tables = [out for out in floats if len(out.dims) == 2 or (len(out.dims) in (3, 4) and set(out.dims[2:]) == {1})]
    if not tables and len(file.outputs) == 1:
        tables = [out for out in floats if not out.dims]
    wide = [out for out in tables if not out.dims or out.dims[1] != 1] or tables
    if len(wide) != 1:
        raise FairLabError(
            f"{path} must have one output of embeddings [batch, dim] of float32 or float16; "
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


def load_onnx(path: Path, threads: int = 1, cuda: bool = False) -> OnnxNetwork:
    """The network of an ONNX file: float32 images (B, 3, H, W) as its preprocessing says -> raw embeddings (B, D) float32.

    It has no parameters and no gradient; the result lies on the images' device. The same images give the same bits for the
    same number of `threads`. `cuda` asks for a GPU where this onnxruntime has one; `provider` says what it became.
    Raises what `inspect_onnx` raises, FairLabError when onnxruntime is not installed or cannot run the file.
    """
    content = read_whole(path)
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
    expected = {facts.input_name} | ({facts.landmarks.name} if facts.landmarks else set())
    if set(inputs) != expected or facts.output_name not in [value.name for value in session.get_outputs()]:
        raise FairLabError(f"{path} is not the network it seemed to be: onnxruntime finds the inputs {inputs}")
    return OnnxNetwork(path, facts, session).eval()


class OnnxNetwork(nn.Module):
    """See `load_onnx`. facts: of the file; provider: what runs it, e.g. CPUExecutionProvider."""

    def __init__(self, path: Path, facts: OnnxFacts, session: Any) -> None:
        super().__init__()
        self.path, self.facts = path, facts
        self.provider: str = session.get_providers()[0]
        self._session = session
        self._batch = facts.batch

    @property
    def takes_landmarks(self) -> bool:
        """Does it want five points beside each image?"""
        return self.facts.landmarks is not None

    def forward(self, images: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """(B, 3, H, W), and landmarks (B, 5, 2) where it takes them -> (B, D) on the images' device. Raises FairLabError,
        naming the file.
        """
        px = self.facts.image_px
        if images.ndim != 4 or images.shape[1] != 3 or (px and tuple(images.shape[2:]) != (px, px)):
            right = f"(B, 3, {px or 'H'}, {px or 'W'})"
            raise FairLabError(f"{self.path} takes images {right}, not {tuple(images.shape)}")
        pixels = {self.facts.input_name: self._as_the_graph_takes_them(images)} | self._points(landmarks, len(images))
        try:
            parts = self._in_pieces(pixels, self._batch or max(len(images), 1))
        except FairLabError as error:
            if self._batch is not None or len(images) < 2:
                raise
            try:  # a batch of one may stand inside the graph, though its input says that it takes any number
                parts = self._in_pieces(pixels, 1)
            except FairLabError:
                raise error from None
            self._batch = 1
        dims = {part.shape[1] for part in parts} or {self.facts.embedding_dim or 0}
        if len(dims) > 1:
            raise FairLabError(f"{self.path} returned embeddings of different lengths: {sorted(dims)}")
        vectors = np.concatenate(parts) if parts else np.zeros((0, *dims), np.float32)
        return torch.from_numpy(vectors).to(images.device)

    @property
    def one_at_a_time(self) -> bool:
        """Did the graph refuse more than one image, though its input says that it takes any number?"""
        return self._batch == 1 and self.facts.batch != 1

    def _as_the_graph_takes_them(self, images: Tensor) -> np.ndarray:
        pixels = images.detach().to("cpu", torch.float32).contiguous().numpy()
        if self.facts.channels_last:
            pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        if self.facts.element == "uint8":
            return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        return pixels.astype(self.facts.element, copy=False)

    def _points(self, landmarks: Tensor | None, count: int) -> dict[str, np.ndarray]:
        """The second input, by its name, where the graph has one."""
        wanted = self.facts.landmarks
        if wanted is None:
            return {}
        if landmarks is None or landmarks.shape != (count, POINTS, 2):
            given = "none" if landmarks is None else tuple(landmarks.shape)
            raise FairLabError(f"{self.path} takes landmarks ({count}, {POINTS}, 2) beside the images, not {given}")
        points = landmarks.detach().to("cpu", torch.float32).numpy().reshape(count, *map(int, wanted.dims[1:]))  # type: ignore[arg-type]
        return {wanted.name: np.ascontiguousarray(points.astype(wanted.element, copy=False))}

    def _in_pieces(self, inputs: dict[str, np.ndarray], size: int) -> list[np.ndarray]:
        count = len(inputs[self.facts.input_name])
        return [
            self._run({name: values[at : at + size] for name, values in inputs.items()}, size)
            for at in range(0, count, size)
        ]

    def _run(self, inputs: dict[str, np.ndarray], size: int) -> np.ndarray:
        """Embeddings of at most `size` images; a piece that is shorter is filled up with its last image."""
        count = len(inputs[self.facts.input_name])
        filled = {name: _filled(values, size) for name, values in inputs.items()}
        try:
            (vectors,) = self._session.run([self.facts.output_name], filled)
        except Exception as error:  # as when loading
            shape = filled[self.facts.input_name].shape
            raise FairLabError(f"{self.path} could not be run on images {shape} ({_reason(error)})") from error
        if vectors.ndim in (3, 4) and vectors.shape[2:] == (1,) * (vectors.ndim - 2):
            vectors = vectors.reshape(vectors.shape[:2])
        dim = self.facts.embedding_dim
        if vectors.ndim != 2 or len(vectors) != size or (dim and vectors.shape[1] != dim) or vectors.shape[1] > LONGEST:
            raise FairLabError(f"{self.path} returned {vectors.shape} and not ({size}, {dim or 'dim'})")
        vectors = vectors[:count].astype(np.float32, copy=False)
        if not np.isfinite(vectors).all():
            raise FairLabError(f"{self.path} returned embeddings that are not finite; is its preprocessing right?")
        return vectors


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """Rows repeated at the end until there are `size`."""
    missing = size - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values


def check_batches(network: OnnxNetwork, px: int) -> list[str]:
    """What embedding a few images alone and together shows, as sentences. Raises FairLabError when an image's embedding
    depends on the others, or is another one each time, as while training.
    """
    draws = np.random.default_rng(0)
    images = torch.from_numpy(draws.uniform(0, 1, (4, 3, px, px)).astype(np.float32))
    if network.facts.normalised_inside:
        images *= 255
    points = torch.from_numpy((np.array(FACE) + draws.normal(0, 0.02, (4, POINTS, 2))).astype(np.float32))
    beside = (points,) if network.takes_landmarks else ()
    alone = torch.cat([network(*(values[at : at + 1] for values in (images, *beside))) for at in range(len(images))])
    together = network(images, *beside)
    notes = []
    if network.one_at_a_time:
        notes.append("the graph holds a batch of one, so images are embedded one at a time, which is slow")
    again = network(images, *beside)
    for other, what in (
        (together, "depends on the other images embedded with it"),
        (again, "changes from one time to the next"),
    ):
        first = together if other is again else alone
        if float(functional.cosine_similarity(first, other).min()) < _SAME:
            raise FairLabError(
                f"{network.path}: an image's embedding {what}; the network was exported in training mode: export it again "
                "after model.eval()"
            )
    lengths = together.norm(dim=1)
    if bool((lengths - 1).abs().max() < 1e-3):
        notes.append("embeddings come with length 1, so their length does not measure quality")
    return notes


def _reason(error: Exception) -> str:
    """Onnxruntime's message on one line, without its prefix of codes."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)[:200]
