"""Which images make a step: the next ones of the epoch's order, and where asked for, pairs of some identities.

The pairs are those of EKD (CVPR 2022; Tencent/TFace, recognition/tasks/ekd/dataset.py), but drawn from (seed, overall
step) alone, so that a resumed run, and each of several processes, draws the same.
"""

from __future__ import annotations

import numpy as np

from fairlab.errors import FairLabError
from fairlab.settings.training import Training
from fairlab.training.loader import PAIRS, stream


class Sampler:
    """The steps of a training on images of these identities (N,): positions 0..N-1.

    Raises FairLabError where fewer than training.pair_identities identities have two images.
    """

    def __init__(self, settings: Training, seed: int, identities: np.ndarray) -> None:
        self.settings, self.seed = settings, seed
        self.steps_per_epoch = len(identities) // settings.epoch_images
        if not settings.pair_identities:
            return
        _, counts = np.unique(identities, return_counts=True)
        self._members = np.argsort(identities, kind="stable")
        """Positions, identity by identity."""
        self._paired = np.flatnonzero(counts >= 2)
        self._starts, self._counts = np.cumsum(counts) - counts, counts
        if len(self._paired) < settings.pair_identities:
            raise FairLabError(
                f"training.pair_identities is {settings.pair_identities}, and {len(self._paired)} of the {len(counts)} "
                "identities to train on have two images or more; take fewer, or data with more images of each identity"
            )

    @property
    def general(self) -> int | None:
        """Rows of a batch that are its general half; None where a batch has no halves."""
        return self.settings.general_rows if self.settings.pair_identities else None

    def parts(self, sequence: np.ndarray, epoch: int, number: int) -> list[np.ndarray]:
        """Step `number` of an epoch whose order is `sequence` (N,): positions (batch_size,) for each part of the step.

        A part has its general rows first, then the rows of its pairs, identity by identity.
        """
        size = self.settings.epoch_images
        general = np.split(sequence[number * size : (number + 1) * size], self.settings.accumulate)
        if not self.settings.pair_identities:
            return general
        draws = stream(self.seed, PAIRS, epoch * self.steps_per_epoch + number)
        return [np.concatenate([rows, self._pairs(draws)]) for rows in general]

    def _pairs(self, draws: np.random.Generator) -> np.ndarray:
        """pair_images positions of each of pair_identities different identities, one after the other."""
        people = draws.choice(self._paired, self.settings.pair_identities, replace=False)
        return np.concatenate([self._images(draws, person) for person in people])

    def _images(self, draws: np.random.Generator, person: int) -> np.ndarray:
        """Positions of an identity's images, none twice before each was there once."""
        start, count = self._starts[person], self._counts[person]
        images = draws.permutation(self._members[start : start + count])
        return np.resize(images, self.settings.pair_images)
