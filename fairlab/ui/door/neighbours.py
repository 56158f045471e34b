"""Which account of this machine a connection comes from, where the system says so (Linux).

A browser sends the app's cookie to every port of a host, so a page that another account serves on this machine gets to know
it. What is made with it then comes from that account, and is refused.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
STAYS_S, MOST = 5.0, 1000
"""How long an answer about one connection is good for, so that the pieces of a page cost one look, and how many are kept."""
_answers: dict[tuple[tuple[object, ...], tuple[object, ...]], tuple[float, bool]] = {}


def from_another_account(client: tuple[str, int] | None, server: tuple[str, int] | None) -> bool:
    """Does another account of this machine, root apart, hold the other end? False where that cannot be known."""
    if client is None or server is None or not hasattr(os, "getuid"):
        return False
    pair, now = (tuple(client), tuple(server)), time.monotonic()
    asked, answer = _answers.get(pair, (-STAYS_S, False))
    if now - asked < STAYS_S:
        return answer
    if len(_answers) > MOST:
        _answers.clear()
    answer = _held_by_another(*client, *server)
    _answers[pair] = (now, answer)
    return answer


def _held_by_another(host: str, port: int, server: str, server_port: int) -> bool:
    try:
        wanted = (_known(host, port), _known(server, server_port))
    except ValueError:
        return False
    uid = next((uid for ends, uid in _connections() if ends == wanted), 0)
    return uid not in (0, os.getuid())


def _known(host: str, port: int) -> tuple[bytes, int]:
    """Address and port; one of IPv4 in the form that both tables share."""
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).packed, port


def _connections() -> Iterator[tuple[tuple[tuple[bytes, int], tuple[bytes, int]], int]]:
    """((local end, remote end), uid) of every TCP connection of this machine: proc(5), "/proc/net/tcp"."""
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            yield (_end(parts[1]), _end(parts[2])), int(parts[7])


def _end(text: str) -> tuple[bytes, int]:
    """An end as the kernel prints it: words of 32 bits in the machine's order of bytes, then the port."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = b"".join(socket.htonl(word).to_bytes(4, "big") if _LITTLE else word.to_bytes(4, "big") for word in words)
    if len(packed) == 16 and packed.startswith(bytes(10) + b"\xff\xff"):
        packed = packed[12:]
    return packed, int(port, 16)


_LITTLE = socket.htonl(1) != 1
