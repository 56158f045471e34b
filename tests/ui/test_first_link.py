"""The README's first command in front of a screen, and what a real Chromium gets with and without the link."""

from __future__ import annotations

import http.server
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from playwright.sync_api import Browser, expect

from tests.server import app_server, chromium, link_of

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENT = 90_000
STRANGER = """<!doctype html><title>waiting</title><img src="{address}/api/thumb/x/1" onload="seen('picture')"><script>
const all = [];
function seen(what) {{ all.push(what); }}
const socket = new WebSocket("{socket}/_stcore/stream", ["streamlit"]);
socket.onopen = () => seen("socket");
socket.onclose = async () => {{
  try {{ seen("fetched " + (await (await fetch("{address}/api/health", {{credentials: "include"}})).text())); }} catch (e) {{}}
  document.title = "seen: " + all.join();
}};
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@contextmanager
def another_port(text: str) -> Iterator[str]:
    """A page that somebody else serves on this machine; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def a_screen(folder: Path) -> dict[str, str]:
    """Environment in which a browser can be opened: xdg-open notes what it is given."""
    program = folder / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" > {folder}/asked && mv {folder}/asked {folder}/opened\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "STREAMLIT_SERVER_HEADLESS": "false", "HOME": str(folder)}


def test_the_first_command_opens_the_app_in_one_step(browser: Browser, tmp_path: Path) -> None:
    """What the browser is given holds no secret, but a file of the user's that leads to the link; then all tabs are in.

    A page that another account serves on this machine gets nothing out of this browser.
    """
    with app_server(tmp_path / "home", **a_screen(tmp_path)) as (address, _):
        until = time.monotonic() + 60
        while not (tmp_path / "opened").exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        given = (tmp_path / "opened").read_text().strip()
        file = Path(unquote(urlparse(given).path))
        assert given.startswith("file://")
        assert "token" not in given
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENT)
        page.goto(given)
        page.wait_for_url(f"{address}/")
        expect(page.get_by_role("heading", name="FairLab", exact=True).first).to_be_visible(timeout=PATIENT)
        cookie = next(one for one in context.cookies() if one["name"].startswith("fairlab-"))
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        page.reload()
        expect(page.get_by_role("heading", name="FairLab", exact=True).first).to_be_visible(timeout=PATIENT)
        second = context.new_page()
        second.goto(f"{address}/settings?x=1")
        expect(second.get_by_role("heading", name="Settings", exact=True).first).to_be_visible(timeout=PATIENT)
        with another_port(f'<a href="{address}/data">FairLab</a>') as elsewhere:
            second.goto(elsewhere)
            second.get_by_role("link").click()  # the browser keeps a strict cookie back at first
            expect(second.get_by_role("heading", name="Data", exact=True).first).to_be_visible(timeout=PATIENT)
        with another_port(STRANGER.format(address=address, socket=address.replace("http", "ws"))) as elsewhere:
            page.goto(elsewhere)  # the same site for a browser, with the same cookies
            page.wait_for_function("document.title != 'waiting'", timeout=PATIENT)
            assert page.title() == "seen:", "no picture, no WebSocket, no answer"
        context.close()
    assert not file.exists()


def test_without_the_link_the_door_says_where_it_is_and_takes_it(browser: Browser, tmp_path: Path) -> None:
    """And leads on to the page that was asked for."""
    with app_server(tmp_path / "home") as (address, _):
        page = browser.new_page()
        page.set_default_timeout(PATIENT)
        page.goto(f"{address}/settings?x=1")
        expect(page.get_by_role("heading", name="FairLab opens with its link")).to_be_visible()
        expect(page.get_by_text("fairlab link")).to_be_visible()
        assert page.get_by_test_id("stApp").count() == 0
        page.get_by_role("textbox").fill(f"{link_of(address)}wrong")
        page.get_by_role("button").click()
        expect(page.get_by_text("This link does not belong")).to_be_visible()
        page.get_by_role("textbox").fill(link_of(address))
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", name="Settings", exact=True).first).to_be_visible(timeout=PATIENT)
        assert page.url == f"{address}/settings?x=1"
        page.close()
