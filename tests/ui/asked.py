"""Requests to the app's routes through its middleware, as a server would hand them on, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from fairlab.ui.door.door import cookie_name, keys
from fairlab.ui.door.server import MIDDLEWARE, ROUTES

ADDRESS = "http://127.0.0.1:8501"
REACHED: list[str] = []
"""Paths of the stand-ins for Streamlit's own routes that a request came through to."""


async def _page(request: Request) -> Response:
    REACHED.append(request.url.path)
    if request.url.path == "/breaks":
        raise ValueError("as a route may")
    return Response("inside")


async def _stream(socket: WebSocket) -> None:
    REACHED.append(socket.url.path)
    await socket.accept()
    await socket.close()


APP = Starlette(
    routes=[
        *ROUTES,
        WebSocketRoute("/_stcore/stream", _stream),
        Route("/{path:path}", _page, methods=["GET", "PUT", "POST", "DELETE"]),
    ],
    middleware=MIDDLEWARE,
)


def ticket(address: str = ADDRESS) -> tuple[str, str]:
    """The cookie header of a browser that has opened the link."""
    return ("cookie", f"{cookie_name(address)}={keys().cookie(address)}")


def ask(
    path: str,
    headers: Sequence[tuple[str, str]] | None = None,
    method: str = "GET",
    body: bytes = b"",
    **scope: Any,
) -> tuple[int, dict[str, str], bytes]:
    """A request to the app: (status, headers, body). headers: besides the host; default: the cookie."""
    where, _, query = path.partition("?")
    given = [ticket()] if headers is None else list(headers)
    if not any(name == "host" for name, _ in given):
        given.insert(0, ("host", "127.0.0.1:8501"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given if value],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8501),
        "extensions": {"websocket.http.response": {}},
        **scope,
    }
    if scope["type"] == "websocket":
        scope.pop("method")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def asked() -> None:
        try:
            await APP(scope, receive, send)  # type: ignore[arg-type]
        except ValueError:
            if not sent:
                raise

    asyncio.run(asked())
    if sent[0]["type"] == "websocket.accept":
        return 101, {}, b""
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer, b"".join(item.get("body", b"") for item in sent[1:])
