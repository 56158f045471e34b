"""CVLface's ViT with KP-RPE (Kim et al., CVPR 2024, arXiv 2403.14852): attention that knows where a face's landmarks are.

For each patch the differences to five landmarks go through one linear layer; it gives every head of every block a number for
each relative position of two patches (iRPE's product of rows and columns, Wu et al., arXiv 2107.14222), which is added to the
attention of the patch. The layer's rows are ordered by block, head, relative position.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.backbones.vit import CVLFACE_FORMS, FaceTransformer, Form
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

ALPHA, BETA, GAMMA = 1.9, 3.8, 15.2
"""iRPE's piecewise index: offsets up to alpha are themselves, larger ones grow with the logarithm, to beta at gamma."""
OFFSETS = 2 * int(BETA) + 1
POSITIONS = OFFSETS**2
POINTS = 5
PIECE = 32
"""Images that are embedded at a time: the numbers for all pairs of patches take 2.5 MB of each."""
SOURCE = "CVLface (arXiv 2403.14852), ViT with KP-RPE"


def offset_index(offset: Tensor) -> Tensor:
    """Whole offsets (...) in rows or columns -> numbers in -3..3 (arXiv 2107.14222, equation 18)."""
    size = offset.abs().double()
    far = ALPHA + torch.log(size.clamp_min(1) / ALPHA) / math.log(GAMMA / ALPHA) * (BETA - ALPHA)
    far = far.round().clamp(max=BETA).floor()
    return (torch.where(size <= ALPHA, size, far) * offset.sign()).long()


def relative_positions(side: int) -> Tensor:
    """(N, N), N = side^2: which of POSITIONS a key (column) has to a query (row)."""
    at = torch.arange(side)
    row, column = (values.flatten() for values in torch.meshgrid(at, at, indexing="ij"))
    rows, columns = (offset_index(values[:, None] - values[None, :]) + int(BETA) for values in (row, column))
    return rows * OFFSETS + columns


class LandmarkTransformer(FaceTransformer):
    """(B, 3, P, P) and landmarks (B, 5, 2), shares of the crop's width and height -> (B, D)."""

    takes_landmarks = True

    def __init__(self, form: Form, settings: Backbone, image_px: int) -> None:
        super().__init__(form, settings, image_px)
        self.heads, self.patch_side = form.heads, image_px // form.patch
        self.keypoint_linear = nn.Linear(2 * POINTS, POSITIONS * form.heads * form.blocks)
        nn.init.zeros_(self.keypoint_linear.weight)
        nn.init.zeros_(self.keypoint_linear.bias)

    def forward(self, images: Tensor, landmarks: Tensor | None = None) -> Tensor:
        if landmarks is None or landmarks.shape != (len(images), POINTS, 2):
            given = "none" if landmarks is None else tuple(landmarks.shape)
            raise FairLabError(
                f"a network with KP-RPE takes landmarks ({len(images)}, {POINTS}, 2) beside the images, not {given}"
            )
        pieces = zip(images.split(PIECE), landmarks.split(PIECE), strict=True)
        return torch.cat([self._embed(*piece) for piece in pieces])

    def _embed(self, images: Tensor, landmarks: Tensor) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed
        differences = self._differences(landmarks)
        places = relative_positions(self.patch_side).to(x.device).expand(len(x), self.heads, -1, -1)
        of_block = self.heads * POSITIONS
        for number, block in enumerate(self.blocks):
            rows = slice(number * of_block, (number + 1) * of_block)
            numbers = functional.linear(
                differences, self.keypoint_linear.weight[rows], self.keypoint_linear.bias[rows]
            )  # of this block alone: those of all would take a hundred times the images
            table = numbers.unflatten(-1, (self.heads, POSITIONS)).transpose(1, 2)
            x = block(x, table.gather(-1, places))
        embedding: Tensor = self.feature(self.dropout(self.norm(x).flatten(1)))
        return embedding

    def _differences(self, landmarks: Tensor) -> Tensor:
        """(B, N, 10): of each patch's centre to the landmarks, x and y by turns."""
        centres = (
            torch.arange(self.patch_side, device=landmarks.device, dtype=landmarks.dtype) + 0.5
        ) / self.patch_side
        y, x = (values.flatten() for values in torch.meshgrid(centres, centres, indexing="ij"))
        return (torch.stack((x, y), -1)[None, :, None] - landmarks[:, None]).flatten(2)


def _built(size: str) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return LandmarkTransformer(CVLFACE_FORMS[size], settings, image_px)

    return build


# fmt: off
BACKBONES.register("cvlface_vit_s_kprpe", parameters=96_006_690, files_only=True, landmarks=True, title="ViT-S of CVLface with KP-RPE", source=SOURCE)(_built("s"))
BACKBONES.register("cvlface_vit_b_kprpe", parameters=115_079_298, files_only=True, landmarks=True, title="ViT-B of CVLface with KP-RPE", source=SOURCE)(_built("b"))
# fmt: on
