"""Real server processes: what they look up, how they end, and where they refuse to start."""

from __future__ import annotations

import http.client
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.server import app_server, free_port, link_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NOTED = """
import os, sys, runpy
LOG = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, values):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        told = values[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        told = values[0]
    else:
        return
    os.write(LOG, f"{event} {told!r}\\n".encode())
sys.addaudithook(note)
sys.argv = ["streamlit", *sys.argv[2:]]
runpy.run_module("streamlit", run_name="__main__")
"""
"""Streamlit in a process that notes every address it asks for or sends to."""


def handshake(port: int, origin: str | None, cookie: str = "", path: str = "/_stcore/stream") -> tuple[int, float]:
    """A WebSocket is asked for: (status, seconds)."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Cookie": cookie,
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "streamlit"}  # fmt: skip
    connection.request("GET", path, headers={**headers, **({"Origin": origin} if origin else {})})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_refused_origins_are_refused_at_once_and_nothing_is_asked_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit alone would ask a public address service who it is, and believe the answer. Link and key are the user's."""
    log, folder = tmp_path / "noted", tmp_path / "config"
    monkeypatch.setenv("FAIRLAB_CONFIG", str(folder))
    with app_server(tmp_path / "home", starter=["-c", NOTED, str(log)]) as (address, server):
        port = int(address.rpartition(":")[2])
        _kept_for_the_user(tmp_path, link_of(address), folder / "servers" / f"{server.pid}.json")
        path = link_of(address).removeprefix(address)
        cookie = get(port, path)[1]["set-cookie"].partition(";")[0]
        own = f"http://127.0.0.1:{port}"
        assert handshake(port, own, cookie)[0] == 101
        assert handshake(port, own)[0] == 403
        for origin in (
            "http://evil.example",
            "http://localhost:9999",
            "http://0.0.0.0",
            "https://localhost",
            "null",
            None,
        ):
            status, seconds = handshake(port, origin, cookie)
            assert status == 403
            assert seconds < 5
        assert get(port, "/", cookie=cookie)[0] == 200
        assert get(port, "/")[0] == 403
        _another_account_gets_nothing(port, cookie)
    assert [line for line in log.read_text().splitlines() if "127.0.0.1" not in line] == []
    assert not list(folder.glob("servers/*"))


def _another_account_gets_nothing(port: int, cookie: str) -> None:
    """Not even with the cookie, which browsers send to every port of a host. (Only root can try.)"""
    if sys.platform != "linux" or os.getuid() != 0:
        return
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    os.seteuid(65534)
    try:
        connection.connect()
    finally:
        os.seteuid(0)
    connection.request("GET", "/api/health", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert (answer.status, b"another account" in answer.read()) == (403, True)
    connection.close()


def _kept_for_the_user(base: Path, link: str, noted: Path) -> None:
    """The terminal shows the link, and `fairlab link` finds it in a file of mode 0600 outside the workspace."""
    assert any(link in path.read_text() for path in base.glob("server-*.log"))
    kept = [path for path in noted.parent.parent.rglob("*") if path.is_file()]
    assert {"app-key", noted.name} <= {path.name for path in kept}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    secret = link.partition("token=")[2].encode()
    assert not any(secret in path.read_bytes() for path in (base / "home").rglob("*") if path.is_file())


def test_closed_tabs_give_their_descriptors_back(tmp_path: Path) -> None:
    """Twice as many tabs as the process has descriptors for, a few at a time; afterwards it has as many as before."""
    few = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)); "
    starter = ["-c", few + "sys.argv[0] = 'streamlit'; runpy.run_module('streamlit', run_name='__main__')"]
    with app_server(tmp_path / "home", starter=starter, STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL="6") as (
        address,
        server,
    ):
        port = int(address.rpartition(":")[2])
        cookie = get(port, link_of(address).removeprefix(address))[1]["set-cookie"].partition(";")[0]
        process, at_first = psutil.Process(server.pid), 0
        for turn in range(4):
            for _ in range(16):
                assert handshake(port, f"http://127.0.0.1:{port}", cookie)[0] == 101
            until = time.monotonic() + 60
            while at_first and process.num_fds() > at_first + 8:
                assert time.monotonic() < until, (
                    f"{process.num_fds()} descriptors after turn {turn}, {at_first} at first"
                )
                time.sleep(0.2)
            if not at_first:
                time.sleep(15)
                at_first = process.num_fds()
        print(f"{at_first} descriptors at first, {process.num_fds()} after 64 tabs")


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process whose output can be read."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_network_is_refused_in_one_sentence(tmp_path: Path, way: str) -> None:
    option = ["--server.address", "0.0.0.0"] if way == "option" else []
    variable = {} if option else {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(free_port()), *option]
    with started([*command, "--server.headless", "true"], FAIRLAB_HOME=str(tmp_path / "home"), **variable) as process:
        said, _ = process.communicate(timeout=200)
    assert process.returncode == 2
    assert said.strip().startswith(
        "fairlab: the app would listen on 0.0.0.0, where other machines can reach it; start it on 127.0.0.1"
    )
    assert said.strip().count("\n") == 0


def test_whatever_ends_fairlab_app_ends_the_server(tmp_path: Path) -> None:
    """SIGTERM, as from a service manager: the port is free afterwards, and no process is left."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "fairlab",
        "--home",
        str(tmp_path / "home"),
        "app",
        "--no-browser",
        "--port",
        str(port),
    ]
    with started(command) as process:
        until = time.monotonic() + 200
        while True:
            try:
                assert get(port, "/_stcore/health")[0] == 200
                break
            except OSError:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.1)
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        assert not any(psutil.pid_exists(pid) for pid in family)
    with pytest.raises(ConnectionRefusedError):
        get(port, "/_stcore/health")
