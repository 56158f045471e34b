"""When the server starts: is it where nobody else reaches it, what is its link, and a browser that opens it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from streamlit import cli_util, config

from fairlab.errors import FairLabError, Refused
from fairlab.files import write_bytes
from fairlab.settings.user import config_folder
from fairlab.ui.door.door import is_local, reach

SNAPS = Path("/snap/bin")
LEFT_S = 60.0
"""How long the browser has to read the file with the link."""
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - recognised, to be refused


def checked_address() -> str:
    """Scheme, host and port that the app's link names. Raises Refused where other machines would reach it unasked."""
    host = str(config.get_option("server.address") or "")
    app = reach()
    if not is_local(host) and not app.remote:
        raise Refused(
            f"the app would listen on {host or 'every network'}, where other machines can reach it; start it on "
            f"127.0.0.1 and use "
            "`ssh -L 8501:127.0.0.1:8501 MACHINE`, or set FAIRLAB_ALLOW_REMOTE=1 (to keep it allowed: `{COMMAND} "
            "app.remote=true`)"
        )
    _let_streamlit_answer(app.addresses, host)
    if host in WILDCARDS or host == "localhost":
        host = "127.0.0.1"  # a name could lead to another account's server on ::1
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    port = int(config.get_option("server.port"))
    end = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{end}"


def give_up(why: str) -> NoReturn:
    """End the process before it serves anything, with one sentence: an error raised here would become a traceback."""
    print(f"fairlab: {why}", file=sys.stderr, flush=True)
    os._exit(2)


@contextmanager
def opened(link: str) -> Iterator[None]:
    """Print the link; where there is a screen, let a browser open it while the body runs."""
    print(
        f"\n  FairLab is open at\n\n      {link}\n\n  This link opens all your runs and images: keep it to yourself. "
        "`fairlab link` shows it again.\n",
        flush=True,
    )
    page = None if config.get_option("server.headless") else _page(link)
    if page is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, _open, page)  # the server listens already, and answers soon
    late = loop.call_later(LEFT_S, _remove, page)
    try:
        yield
    finally:
        late.cancel()
        _remove(page)


def _page(link: str) -> Path | None:
    """A file of the user alone that leads to the link. On the command line of a browser every account could read it."""
    folder = Path.home() if SNAPS.is_dir() else config_folder()  # browsers in snaps see no hidden folders
    path = folder / f"fairlab-open-{os.getpid()}.html"
    text = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(link)}"><title>FairLab</title>'
    try:
        write_bytes(path, text.encode())
        path.chmod(0o600)
    except (FairLabError, OSError) as error:
        print(f"  No browser was opened: {error}", file=sys.stderr, flush=True)
        return None
    return path


def _open(path: Path) -> None:
    try:
        cli_util.open_browser(path.as_uri())
    except Exception as error:  # a machine without a browser, whatever it raises; the link is in the terminal
        print(f"  No browser could be opened ({error}); use the link above.", file=sys.stderr, flush=True)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _let_streamlit_answer(addresses: tuple[str, ...], host: str) -> None:
    """Streamlit has a list of hosts too, for its WebSocket; the door, which is stricter, has been passed by then."""
    allowed = [*config.get_option("server.allowedHosts"), *(urlsplit(one).hostname or "" for one in addresses)]
    config.set_option("server.allowedHosts", ["*"] if not is_local(host) else [*dict.fromkeys([*allowed, "::1"])])
