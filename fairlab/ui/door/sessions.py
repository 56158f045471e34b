"""Tabs that were closed: what Streamlit keeps for them is given back once nobody can come back to it.

A session holds an event loop, three file descriptors. Streamlit forgets it after server.disconnectedSessionTTL, but closes
it only when Python happens to collect it: on a machine with few descriptors new tabs fail until then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NoReturn

from streamlit import runtime

log = logging.getLogger(__name__)
EVERY_S = 5.0


async def close_forgotten() -> NoReturn:
    """While the server runs: shut every session down that Streamlit has forgotten."""
    known: dict[str, Any] = {}
    while True:
        await asyncio.sleep(EVERY_S)
        known = look(known)


def look(known: dict[str, Any]) -> dict[str, Any]:
    """Shut down the sessions of the last look that Streamlit no longer has; returns those that it has, open or kept."""
    manager = runtime.get_instance()._session_mgr  # nothing public tells of a session's end
    there = {info.session.id: info.session for info in manager.list_sessions()}
    for session in (session for name, session in known.items() if name not in there):
        try:
            session.shutdown()
        except Exception:  # of one tab that is gone; the others' turn must come
            log.exception("a closed session could not be shut down")
    return there
