"""Binary answers that pages prepare for the browser: their address is a hash of their content, so that a browser keeps them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

MOST_BYTES = 256 * 2**20
"""Kept in memory for all sessions together; the oldest go first, and a page that is made again offers them again."""
KEEP = "private, max-age=31536000, immutable"
_kept: OrderedDict[str, bytes] = OrderedDict()
_lock = threading.Lock()


def offer(content: bytes) -> str:
    """Keep a content; returns its address in this app."""
    name = sha256(content).hexdigest()
    with _lock:
        _kept[name] = content
        _kept.move_to_end(name)
        total = sum(map(len, _kept.values()))
        while total > MOST_BYTES and len(_kept) > 1:
            total -= len(_kept.popitem(last=False)[1])
    return f"/api/blob/{name}"


async def blob(request: Request) -> Response:
    """GET /api/blob/{sha256} -> the bytes that a page has offered."""
    with _lock:
        content = _kept.get(request.path_params["name"])
    if content is None:
        return PlainTextResponse("not kept any more: reload the page", 404)
    return Response(content, media_type="application/octet-stream", headers={"cache-control": KEEP})
