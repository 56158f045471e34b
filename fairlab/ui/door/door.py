"""The app's door, before Streamlit: who may ask, from which address, and what a browser may do with every answer.

A request passes when its Host is one of the app's own addresses, its Origin (where there must be one) is exactly that
address, and it brings the cookie that the app's link gave. Nothing is looked up anywhere. What a page may do then, such as
looking into any folder that its user can read, stands on this: only the user of this account has the link.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from functools import cache
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairlab.settings.user import COMMAND, App, user_settings
from fairlab.store.links import LOGIN, Keys, make_keys
from fairlab.ui.door.neighbours import from_another_account
from fairlab.ui.door.pages import login_page, opened_page

log = logging.getLogger(__name__)
LOCAL = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/_stcore/health",)
"""Paths that need no cookie: this one says "ok", which is what asks whether a container lives."""
STAYS_S = 30 * 24 * 3600
LONGEST = 4096
"""Bytes of a pasted link."""
# What Streamlit with plotly and inline components needs, and nothing from anywhere else: a data set's label that is
# Markdown with a picture cannot send a request out.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-eval' 'unsafe-inline' blob:; font-src 'self' data:; "
    "connect-src 'self'{sockets}; worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@cache
def keys() -> Keys:
    """The keys of this process, made once."""
    return make_keys()


@cache
def reach() -> App:
    """Who may reach the app, as the user's settings were when it started. Raises FairLabError."""
    return user_settings().app


class Door:
    """Answers what may not pass, hands on the rest, and adds the headers above to every answer, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        address, refusal = judged(scope, connection.headers)
        dressed = _Dressed(send, address)
        try:
            answer = refusal or await self._at_the_door(scope, receive, address)
            if answer is None:
                await self.app(scope, receive, dressed)
            elif scope["type"] == "http":
                await answer(scope, receive, dressed)
            else:
                await _deny(scope, receive, dressed, answer)
        except Exception:
            if scope["type"] != "http" or dressed.started:
                raise
            log.exception("an answer failed")
            await PlainTextResponse("FairLab could not answer; its terminal says why.", 500)(scope, receive, dressed)

    async def _at_the_door(self, scope: Scope, receive: Receive, address: str) -> Response | None:
        """The answer to the link, or to a browser without the cookie; None for one that has it."""
        connection = HTTPConnection(scope)
        name = cookie_name(address)
        known = keys().knows(connection.cookies.get(name, ""), address)
        if scope["type"] == "http" and scope["path"] == LOGIN:
            return await _login(Request(scope, receive), address, known)
        if known or scope["path"] in OPEN:
            return None
        if "text/html" in connection.headers.get("accept", ""):
            return login_page(_wanted(scope))
        return PlainTextResponse("This needs the app's link; `fairlab link` prints it.", 403)


class _Dressed:
    """`send` that adds the headers."""

    def __init__(self, send: Send, address: str) -> None:
        self.send, self.address, self.started = send, address, False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            named = self.address and "[" not in self.address  # a policy cannot name an IPv6 address; 'self' does
            sockets = f" {self.address.replace('http', 'ws', 1)}" if named else ""
            headers["content-security-policy"] = POLICY.format(sockets=sockets)
        await self.send(message)


def judged(scope: Scope, headers: Headers) -> tuple[str, Response | None]:
    """The app's own address that was asked, and the refusal of what may not come from where it does."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    known = addresses(scope)
    address = next((one for one in known if hosts == [urlsplit(one).netloc]), "")
    if not address:
        asked = hosts[0][:100] if hosts else "nothing"
        return "", PlainTextResponse(
            f"FairLab does not answer at {asked}. Open {known[0] if known else 'it on its own machine'}, or allow the address: "
            f"{COMMAND} app.addresses='[\"http://HOST:PORT\"]'\n",
            403,
        )
    if not reach().remote and from_another_account(scope.get("client"), scope.get("server")):
        return address, PlainTextResponse("This FairLab belongs to another account on this machine.", 403)
    changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
    if origins != [address] and (changes or origins):
        return address, PlainTextResponse("FairLab accepts requests only from its own pages.", 403)
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and not _opens_a_page(scope, headers):
        return address, PlainTextResponse("FairLab cannot be shown inside other pages.", 403)
    return address, None


def addresses(scope: Scope) -> list[str]:
    """Scheme, host and port under which the app answers this connection: by its local end, and as the user has allowed."""
    own = reach()
    scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
    host, port = scope.get("server") or ("", None)
    if port is None:
        return list(own.addresses)
    end = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
    if is_local(host):
        return [*(f"{scheme}://{name}{end}" for name in LOCAL), *own.addresses]
    if not own.remote:
        return []
    literal = f"[{host}]" if ":" in host else host
    return [f"{scheme}://{literal}{end}", *own.addresses]


def is_local(host: str) -> bool:
    """Is this an address of the machine's loopback?"""
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def cookie_name(address: str) -> str:
    """Browsers keep one set of cookies for all ports of a host, so the port is in the name."""
    parts = urlsplit(address)
    return f"fairlab-{parts.port or (443 if parts.scheme == 'https' else 80)}"


async def _login(request: Request, address: str, known: bool) -> Response:
    """The link's own page: GET from the link, POST from the form."""
    given: Mapping[str, str] = request.query_params
    if request.method == "POST":
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LONGEST:
                return PlainTextResponse("This is longer than any FairLab link.", 413)
        given = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    elif request.method not in ("GET", "HEAD"):
        return PlainTextResponse("Open the link with GET.", 405)
    wanted, token = _inside(given.get("next", "/")), _token(given.get("token", ""))
    if not known and not keys().opens(token):
        return login_page(wanted, wrong=bool(token))
    answer = opened_page(wanted)
    answer.set_cookie(
        cookie_name(address),
        keys().cookie(address),
        max_age=STAYS_S,
        httponly=True,
        samesite="strict",
        secure=address.startswith("https"),
    )
    return answer


def _token(text: str) -> str:
    """The token of a pasted link, or the text itself."""
    text = text.strip()
    try:
        return parse_qs(urlsplit(text).query).get("token", [text])[0] if "?" in text else text
    except ValueError:  # no address, e.g. half an IPv6 one
        return text


def _inside(where: str) -> str:
    """A path of this app; "/" for anything else."""
    safe = where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable()
    return quote(where, safe="/?&=%-._~+,:;@!$()*") if safe else "/"


def _wanted(scope: Scope) -> str:
    """Path and query that were asked for, to go on there after the link."""
    query = scope.get("query_string", b"").decode("latin-1")
    return _inside(quote(scope["path"]) + (f"?{query}" if query else ""))


def _opens_a_page(scope: Scope, headers: Headers) -> bool:
    """Is this somebody following a link, rather than another page that loads something of ours?"""
    facts = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return scope["type"] == "http" and scope["method"] == "GET" and facts == ("navigate", "document")


async def _deny(scope: Scope, receive: Receive, send: Send, answer: Response) -> None:
    """Refuse a WebSocket before it is one."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
