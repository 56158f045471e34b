"""All comparisons of many images on a GPU: the blocks of evaluation.all_pairs by torch, with the same counts."""

from __future__ import annotations

import numpy as np
import torch

from fairlab.evaluation.all_pairs.blocks import SCALE, STEPS, ArrayEngine, Block, Engine, empty_histograms


class DeviceEngine:
    """An evaluation.pair_blocks.Engine that keeps the sorted vectors and the histograms on `device`."""

    rows, columns = 4096, 8192

    def __init__(
        self, vectors: np.ndarray, order: np.ndarray, groups: int, device: torch.device | str = "cuda"
    ) -> None:
        self.device = torch.device(device)
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False  # three digits are not enough for a threshold
        self._vectors = torch.from_numpy(np.asarray(vectors[order], dtype=np.float32)).to(self.device)
        self._groups = groups
        self._genuine = torch.zeros((groups, STEPS + 1), dtype=torch.int64, device=self.device)
        self._impostors: dict[tuple[int, int], torch.Tensor] = {}

    def _block(self, block: Block) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(scores, genuine?, impostor?) (rows, columns) of a block."""
        scores = self._vectors[block.top : block.bottom] @ self._vectors[block.left : block.right].T
        column = torch.arange(scores.shape[1], device=self.device)
        starts, strangers = (
            torch.from_numpy(rows).to(self.device)[:, None] for rows in (block.starts, block.strangers)
        )
        return scores, (column >= starts) & (column < strangers), column >= strangers

    def count(self, block: Block) -> None:
        scores, genuine, impostor = self._block(block)
        # As pair_blocks.bins, in two roundings: a fused multiply-add would put scores at a threshold elsewhere.
        at = scores.mul_(float(SCALE)).add_(float(SCALE)).clamp_(0, STEPS).to(torch.int64)
        if bool((block.strangers > block.starts).any()):
            self._genuine[block.groups[0]] += torch.bincount(at[genuine], minlength=STEPS + 1)
        at[~impostor] = STEPS + 1  # a place behind the last, not counted
        counted = torch.bincount(at.ravel(), minlength=STEPS + 2)[: STEPS + 1]
        known = self._impostors.get(block.groups)
        self._impostors[block.groups] = counted if known is None else known.add_(counted)

    def histograms(self) -> tuple[np.ndarray, np.ndarray]:
        genuine, impostors = empty_histograms(self._groups)
        genuine += self._genuine.cpu().numpy()
        for groups, counted in self._impostors.items():
            impostors[groups] = counted.cpu().numpy()
        return genuine, impostors

    def errors(
        self, block: Block, rows: np.ndarray, columns: np.ndarray, strict: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores, genuine, impostor = self._block(block)
        found_rows = torch.nonzero(genuine)[:, 0].cpu().numpy()
        found_scores = scores[genuine].cpu().numpy()
        cells = np.empty((len(strict), len(rows), len(columns)), np.int32)
        for number, threshold in enumerate(strict.astype(np.float32)):
            match = (scores >= float(threshold)) & impostor
            for axis, begins in enumerate((rows, columns)):  # sums between the places where people begin
                running = torch.cumsum(match, axis, dtype=torch.int32)
                ends = torch.from_numpy(np.append(begins[1:], match.shape[axis]) - 1).to(self.device)
                match = torch.diff(
                    running.index_select(axis, ends), dim=axis, prepend=torch.zeros_like(running.narrow(axis, 0, 1))
                )
            cells[number] = match.cpu().numpy()
        return cells, found_rows, found_scores

    def above(self, block: Block, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores, _, impostor = self._block(block)
        rows, columns = torch.nonzero((scores >= float(np.float32(least))) & impostor, as_tuple=True)
        return rows.cpu().numpy(), columns.cpu().numpy(), scores[rows, columns].cpu().numpy()


def best_engine(vectors: np.ndarray, order: np.ndarray, groups: int) -> Engine:
    """The GPU's where there is one, otherwise the processor's."""
    kind = DeviceEngine if torch.cuda.is_available() else ArrayEngine
    return kind(vectors, order, groups)
