"""The app's own HTTP side: what happens when it starts, and faces as small pictures, points and scripts of charts. Who may ask: door.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fairlab import __version__
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.images import thumbnail_png
from fairlab.errors import FairLabError
from fairlab.files import asset, sha256
from fairlab.plots.printing import drawing_script
from fairlab.queue.launch import dispatch
from fairlab.store.links import announced, link
from fairlab.ui.door import hover, opening
from fairlab.ui.door.blobs import KEEP, blob
from fairlab.ui.door.door import Door, keys
from fairlab.ui.door.sessions import close_forgotten
from fairlab.workspace import open_workspace

log = logging.getLogger(__name__)
MAP_SCRIPT = "map/bundle.js"


@lru_cache(maxsize=8)
def _dataset(home: str, name: str, _stamp: int) -> Dataset:
    return open_dataset(open_workspace(home).dataset(name))


def _picture(name: str, image_id: int, px: int) -> bytes:
    workspace = open_workspace()
    folder = workspace.dataset(name)
    stamp = (folder / "manifest.json").stat().st_mtime_ns if (folder / "manifest.json").exists() else 0
    return thumbnail_png(_dataset(str(workspace.home), name, stamp), image_id, px)


async def thumbnail(request: Request) -> Response:
    """GET /api/thumb/{dataset}/{image_id}?px=96 -> PNG."""
    try:
        px = min(max(_number(request.query_params.get("px", "96")), 16), 512)
        content = await run_in_threadpool(
            _picture, request.path_params["dataset"], _number(request.path_params["image_id"]), px
        )
    except FairLabError as error:
        return PlainTextResponse(str(error), status_code=404)
    return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


def _number(text: str) -> int:
    """A whole number of an address. Raises FairLabError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise FairLabError(f"{text[:20]!r} is neither an image number nor a size in pixels")
    return int(text)


async def plotly_js(_request: Request) -> Response:
    """GET /api/plotly.js -> what draws a chart again for paper."""
    content = await run_in_threadpool(drawing_script)
    return Response(content, media_type="text/javascript", headers={"cache-control": "private, max-age=3600"})


async def map_js(_request: Request) -> Response:
    """GET /api/map.js -> what draws maps by WebGL; its address holds its hash, so a browser keeps it."""
    content = await run_in_threadpool(asset(MAP_SCRIPT).read_bytes)
    return Response(content, media_type="text/javascript", headers={"cache-control": KEEP})


@lru_cache(maxsize=1)
def map_script_address() -> str:
    """Where a page finds map_js()."""
    return f"/api/map.js?v={sha256(asset(MAP_SCRIPT))[:16]}"


async def about(request: Request) -> Response:
    """GET /api/about/{run}/{dataset}/{image_id} -> {"person", "lines"}: what a map says of the face under the pointer."""
    try:
        name, image_id = request.path_params["dataset"], _number(request.path_params["image_id"])
        content = await run_in_threadpool(hover.about, request.path_params["run"], name, image_id)
    except FairLabError as error:
        return PlainTextResponse(str(error), status_code=404)
    return JSONResponse(content, headers={"cache-control": "private, max-age=3600"})


async def health(_request: Request) -> Response:
    """GET /api/health -> {"fairlab": version}."""
    return JSONResponse({"fairlab": __version__})


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """When the server starts: check who could reach it, show its link, let queued runs go on that were left waiting."""
    try:
        address = opening.checked_address()
        workspace = open_workspace()
        key = keys()
    except FairLabError as error:
        opening.give_up(str(error))
    with announced(address, workspace.home, key), opening.opened(link(address, key)):
        try:
            await run_in_threadpool(lambda: dispatch(workspace))
        except FairLabError as error:
            log.warning("%s", error)
        closing = asyncio.create_task(close_forgotten())
        yield
        closing.cancel()


ROUTES = [
    Route("/api/thumb/{dataset}/{image_id}", thumbnail),
    Route("/api/plotly.js", plotly_js),
    Route("/api/map.js", map_js),
    Route("/api/blob/{name}", blob),
    Route("/api/about/{run}/{dataset}/{image_id}", about),
    Route("/api/health", health),
]
MIDDLEWARE = [Middleware(Door)]
