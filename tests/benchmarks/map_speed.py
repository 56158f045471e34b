"""`python -m tests.benchmarks.map_speed HOME COUNT`: maps of COUNT points twice, in a real Chromium.

HOME: a workspace with a finished study, which is copied and not changed; the copy's data set, embeddings (64 dimensions)
and maps are replaced by drawn ones of COUNT images. Prints the wall seconds from a link to both maps drawn, of switching
to the page and of a lasso until the faces are there, the bytes of one selection on the wire, and the server's memory.
Chromium draws with the processor here, on the same cores as the server.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Page

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.store.embeddings import EmbeddingWriter, embedded_sets
from fairlab.store.projections import list_projections, write_projection
from fairlab.tables import PAIRS
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.server import MAP, app_server, chromium, entered, lasso, settled

DIMS, IMAGES_EACH, ROUNDS, FACE_PX = 64, 14, 3, 8


def enlarged(lab: Workspace, count: int) -> None:
    """Replace the workspace's data set, and the embeddings and maps of it, by drawn ones of `count` images."""
    random = np.random.default_rng(0)
    folder = next(path.parent for path in lab.datasets_folder.glob("*/manifest.json"))
    old = open_dataset(folder)
    people = np.arange(count) // IMAGES_EACH
    images = pd.DataFrame(
        {
            "image_id": np.arange(count),
            "dataset": old.dataset_id,
            "split": "test",
            "identity": np.char.add("person ", people.astype(str)),
            "group": np.array(old.groups)[people % len(old.groups)],
            "source": "synthetic",
            "location": np.arange(count),
        }
    )
    small = np.asarray(old.pixels)[:, ::4, ::4][:, :FACE_PX, :FACE_PX]
    pixels = small[np.arange(count) % len(small)]
    new = NewDataset(old.dataset_id, "demo", old.attribute, old.groups, images, PAIRS.build(), pixels, {})
    centres = random.normal(size=(people[-1] + 1, DIMS))
    for run in sorted(lab.runs_folder.iterdir()):
        if old.dataset_id in embedded_sets(run):
            _drawn_space(run, old, centres[people], random)
    write_dataset(folder, new)


def _drawn_space(run: Path, data: Dataset, centres: np.ndarray, random: np.random.Generator) -> None:
    vectors = (centres + random.normal(size=centres.shape)).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    ids = np.arange(len(vectors))
    with EmbeddingWriter(run, data.dataset_id, "plain", ids, {}) as writer:
        writer.add(vectors / norms[:, None], norms)
    for stored in list_projections(run, data.dataset_id):
        facts = {**stored.facts, "shown": len(ids), "of": len(ids)}
        write_projection(run, stored.key, run.name, ids, vectors[:, :2], facts)


class Wire:
    """Bytes of a page's WebSocket and of what it fetches from the app's own addresses."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._socket)
        page.on("response", lambda answer: self._add(int(answer.headers.get("content-length", 0)), answer.url))

    def _socket(self, socket: object) -> None:
        for name in ("framesent", "framereceived"):
            socket.on(name, lambda payload: self._add(len(payload)))  # type: ignore[attr-defined]

    def _add(self, count: int, address: str = "") -> None:
        self.bytes += 0 if "/api/thumb/" in address else count


def said(what: str, seconds: list[float]) -> None:
    """One line."""
    middle, worst = statistics.median(seconds), max(seconds)
    print(f"{what:24} median {middle:.2f} s, worst {worst:.2f} s of {len(seconds)}", flush=True)


def drawn(page: Page) -> None:
    """Both maps have their points."""
    page.locator(MAP).nth(1).wait_for(timeout=300_000)


def walk(page: Page, wire: Wire, address: str) -> None:
    """First picture, switches and lassos."""
    began = time.monotonic()
    page.goto(f"{address}/spaces")
    drawn(page)
    said("first picture, cold", [time.monotonic() - began])
    first, switches, lassos, sizes = [], [], [], []
    for _ in range(ROUNDS):
        began = time.monotonic()
        page.goto(f"{address}/spaces")
        drawn(page)
        first.append(time.monotonic() - began)
    for _ in range(ROUNDS):
        page.get_by_role("link", name="Settings", exact=True).first.click()
        settled(page)
        began = time.monotonic()
        page.get_by_role("link", name="Spaces", exact=True).first.click()
        drawn(page)
        switches.append(time.monotonic() - began)
    for _ in range(ROUNDS):
        page.goto(f"{address}/spaces")
        drawn(page)
        settled(page)
        before = wire.bytes
        lasso(page)
        began = time.monotonic()
        page.get_by_text("images selected").first.wait_for(timeout=300_000)
        page.locator(".face").first.wait_for(timeout=300_000)
        lassos.append(time.monotonic() - began)
        settled(page)
        sizes.append(wire.bytes - before)
    said("first picture, again", first)
    said("switch to the page", switches)
    said("lasso to faces", lassos)
    print(f"a selection on the wire  {statistics.median(sizes) / 1000:.1f} kB, faces not counted")


def main() -> int:
    count = int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        home = copied_home(Path(sys.argv[1]), Path(folder) / "home")
        enlarged(open_workspace(home), count)
        print(f"{count:,} points twice, load average {os.getloadavg()[0]:.1f}")
        with chromium() as browser, app_server(home) as (address, process):
            page = entered(browser, address, viewport={"width": 1400, "height": 1200})
            page.set_default_timeout(300_000)
            settled(page)
            before = psutil.Process(process.pid).memory_info().rss
            walk(page, Wire(page), address)
            more = psutil.Process(process.pid).memory_info().rss - before
            print(f"server's memory: {more / 2**20:.0f} MB more than at the start")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
