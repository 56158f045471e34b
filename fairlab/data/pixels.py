"""Images that stay encoded where they lie, and look like the array (N, H, W, 3) of a data set with pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np
from PIL import Image

from fairlab.data.align import crop
from fairlab.data.decode import decode
from fairlab.errors import Damaged, FairLabError

THREADS = min(8, os.cpu_count() or 1)
"""Decoders work without holding Python's lock, so threads are enough."""
PATIENCE_S = 12.0
"""Without a single image for twice this long, whoever waits for images gives up."""
AT_A_TIME = 16
"""Images a thread takes at a time; measured: from 8 to 128 makes no difference."""


def fit(image: np.ndarray, px: int) -> np.ndarray:
    """(H, W, 3) to (px, px, 3): the largest square in the middle, scaled with antialiasing; as it is where it fits."""
    height, width = image.shape[:2]
    if (height, width) == (px, px):
        return image
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = Image.fromarray(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return np.array(middle.resize((px, px), Image.Resampling.BILINEAR, reducing_gap=None))


class EncodedPixels:
    """Rows of encoded images as (B, px, px, 3) uint8 RGB, decoded when asked for, by threads.

    read(row) gives the bytes, name(row) what to call them in a message; landmarks (N, 5, 2), x and y in the stored
    image, turn faces to the template (rows of NaN are only fitted); swap takes red for blue; sizes (N,) are the bytes
    that each image had when it was looked at: one of another size is refused.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        name: Callable[[int], str],
        count: int,
        px: int,
        landmarks: np.ndarray | None = None,
        swap: bool = False,
        sizes: np.ndarray | None = None,
    ) -> None:
        self.read, self.name, self.px, self.landmarks, self.swap = read, name, px, landmarks, swap
        self.sizes = sizes
        self.shape, self.dtype, self.ndim = (count, px, px, 3), np.dtype(np.uint8), 4
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def __len__(self) -> int:
        return self.shape[0]

    def one(self, row: int, room: np.ndarray | None = None) -> np.ndarray:
        """Image `row` as (px, px, 3). Raises Damaged when it cannot be decoded, FairLabError when it is gone.

        `room` (px, px, 3) may be written to, and may be what is returned (see decode).
        """
        try:
            data = self.read(row)
        except OSError as error:
            raise FairLabError(f"{self.name(row)} cannot be read: {error.strerror or error}") from error
        if self.sizes is not None and len(data) != self.sizes[row]:
            raise Damaged(
                f"{self.name(row)} has changed since the data set was added: it had {self.sizes[row]:,} bytes and now "
                f"has {len(data):,}; restore it, or accept the changed data: `fairlab data move NAME PATH --changed`"
            )
        image = decode(data, self.name(row), room)
        points = self.landmarks[row] if self.landmarks is not None else None
        if points is not None and np.isfinite(points).all():
            image = crop(image, points, self.px)
        else:
            image = fit(image, self.px)
        return image[:, :, ::-1] if self.swap else image

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return self.one(int(rows) + (len(self) if rows < 0 else 0))
        wanted = np.arange(len(self))[rows]
        result = np.empty((len(wanted), self.px, self.px, 3), np.uint8)

        at_work: dict[int, int] = {}

        def fill(start: int) -> None:
            for place, row in enumerate(wanted[start : start + AT_A_TIME].tolist(), start):
                at_work[start], room = row, result[place]
                image = self.one(row, room)
                if image is not room:
                    room[...] = image
            at_work.pop(start)

        if len(wanted):
            self._wait([self._threads().submit(fill, start) for start in range(0, len(wanted), AT_A_TIME)], at_work)
        return result

    def _wait(self, waiting: list[Future[None]], at_work: dict[int, int]) -> None:
        """Until all images are there; at_work: which row each thread is at.

        A disk that has gone away may leave a thread without an answer for ever.
        """
        unfinished, before = set(waiting), {-1: -1}
        try:
            while unfinished:
                finished, unfinished = wait(unfinished, PATIENCE_S, FIRST_COMPLETED)
                for future in finished:
                    future.result()
                now = dict(at_work)
                if not finished and now == before:
                    stuck = f" ({self.name(min(now.values()))})" if now else ""
                    raise FairLabError(
                        f"no image could be read for {PATIENCE_S:.0f} s{stuck}: is the disk of the data set still "
                        f"connected? Resume when it is"
                    )
                before = now
        finally:
            for future in unfinished:
                future.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pid != os.getpid():  # threads do not survive a fork
            self._pool, self._pid = ThreadPoolExecutor(THREADS), os.getpid()
        return self._pool
