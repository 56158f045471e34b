"""The app's own HTTP side: who may ask (this machine only), what pages may load, and faces as small pictures."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairlab import __version__
from fairlab.data.base import Dataset, open_dataset
from fairlab.data.images import thumbnail_png
from fairlab.errors import FairLabError
from fairlab.runs.launch import dispatch
from fairlab.workspace import open_workspace

log = logging.getLogger(__name__)
HOSTS = ["localhost", "127.0.0.1"]
# What Streamlit with plotly and inline components needs, and nothing from anywhere else: a data set's label that is
# Markdown with a picture cannot send a request out.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-eval' 'unsafe-inline' blob:; font-src 'self' data:; "
    "connect-src 'self' ws://localhost:* ws://127.0.0.1:*; worker-src 'self' blob:; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


class SecurityHeaders:
    """Adds the headers above to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, sending)


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
        px = min(max(int(request.query_params.get("px", "96")), 16), 512)
        content = await run_in_threadpool(
            _picture, request.path_params["dataset"], int(request.path_params["image_id"]), px
        )
    except (FairLabError, ValueError) as error:
        return PlainTextResponse(str(error), status_code=404)
    return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


async def health(_request: Request) -> Response:
    """GET /api/health -> {"fairlab": version}."""
    return JSONResponse({"fairlab": __version__})


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """When the server starts: let queued runs go on that were left waiting when nobody was there."""
    try:
        await run_in_threadpool(lambda: dispatch(open_workspace()))
    except FairLabError as error:
        log.warning("%s", error)
    yield


ROUTES = [Route("/api/thumb/{dataset}/{image_id:int}", thumbnail), Route("/api/health", health)]
MIDDLEWARE = [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(SecurityHeaders)]
