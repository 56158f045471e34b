"""Telling the owner that a study has ended, failed or waits for a decision: an address or a program of their own.

Off unless the workspace asks for it (settings.loggers: notify) and the owner's configuration names an address or a program
(settings.user: notify). A workspace or a page cannot name either, so one from elsewhere makes nothing run and sends nothing.
Whatever goes wrong here is one sentence in a log: a run has ended before anything is told.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from filelock import FileLock, Timeout
from pydantic import Field

from fairlab.errors import FairLabError
from fairlab.files import there, write_json
from fairlab.jobs.loggers.base import settings_of
from fairlab.queue.endings import Ending, endings
from fairlab.settings.kept import Kept, read_checked
from fairlab.settings.user import COMMAND, Notify, user_settings
from fairlab.workspace import Workspace

log = logging.getLogger(__name__)

FILE = "told.json"
"""In a study's folder: what was told last."""
WAIT_S = 5.0
"""For an answer of the address, and for the end of the program."""
TRIES = 2


class ToldFile(Kept):
    """told.json: Ending.key of what was told last."""

    key: str = Field("", max_length=10_000)


def tell_of_run(workspace: Workspace, run_id: str) -> list[str]:
    """After a run has ended: tell what is new of the studies that have it. Returns what went wrong, as sentences.

    Each thing is told once, whichever process sees it first. Never raises.
    """
    try:
        if not settings_of(workspace).notify:
            return []
        return tell_news(workspace, endings(workspace, containing=run_id).values())
    except Exception as error:  # the run has ended well or badly before this; nothing here changes that
        return [f"nobody was told of the end of {run_id}: {_words(error)}"]


def tell_in_background(workspace: Workspace, news: Sequence[Ending]) -> None:
    """As tell_of_run, from the app, which has seen these: the process of a run that was killed cannot tell.

    What went wrong stands in the app's log.
    """

    def work() -> None:
        try:
            wrong = tell_news(workspace, news) if settings_of(workspace).notify else []
        except Exception as error:  # as in tell_of_run
            wrong = [f"nobody was told of the end of a study: {_words(error)}"]
        for fault in wrong:
            log.warning("%s", fault)

    threading.Thread(target=work, name="telling", daemon=True).start()


def tell_news(workspace: Workspace, found: Iterable[Ending]) -> list[str]:
    """Tell of these studies what was not told before. Returns what went wrong."""
    wrong = []
    for ending in found:
        if ending.kind and _is_new(workspace, ending):
            try:
                tell(ending)
            except FairLabError as error:
                wrong.append(str(error))
    return wrong


def _is_new(workspace: Workspace, ending: Ending) -> bool:
    """Was this not told before? Noted at once, so that it is told once, however many processes see it."""
    path = workspace.study(ending.study_id) / FILE
    with contextlib.suppress(Timeout), FileLock(workspace.home / "told.lock", timeout=WAIT_S):
        try:
            before = read_checked(ToldFile, path).key if there(path) else ""
        except FairLabError:
            before = ""
        if before != ending.key and path.parent.is_dir():
            write_json(path, {"key": ending.key})
            return True
    return False


def tell(ending: Ending, notify: Notify | None = None) -> list[str]:
    """Send how a study stands to the owner's address and program. Returns where it went.

    Raises FairLabError where neither is named, and, after both were tried, for one that does not take it.
    """
    notify = notify or user_settings().notify
    if not notify.url and not notify.command:
        raise FairLabError(
            f"no address and no program is named: `{COMMAND} notify.url=http://SERVER:8000/HOOK`, or notify.command"
        )
    content = json.dumps(message(ending)).encode()
    ways: dict[str, Callable[[], None]] = {}
    if notify.url:
        ways["notify.url"] = partial(post, notify.url, content)
    if notify.command:
        ways["notify.command"] = partial(start, notify.command, content)
    wrong = []
    for send in ways.values():
        try:
            send()
        except FairLabError as error:
            wrong.append(str(error))
    if wrong:
        raise FairLabError("; ".join(wrong))
    return list(ways)


def message(ending: Ending) -> dict[str, Any]:
    """What is sent, as JSON. event: "study_done", "study_failed", "study_decision", or "study_going"; text: the sentence."""
    return {
        "event": f"study_{ending.kind or 'going'}",
        "study": ending.study_id,
        "title": ending.title,
        "text": ending.sentence,
        "runs": ending.runs,
        "done": ending.done,
        "going": ending.going,
        "failed": [{"run": name, "title": title, "reason": reason} for name, title, reason in ending.broken],
    }


class _Straight(urllib.request.HTTPRedirectHandler):
    """The owner named one address: an answer cannot send the message on to another."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(url: str, content: bytes) -> None:
    """POST JSON to an address, twice at most; its answer is not read. Raises FairLabError."""
    request = urllib.request.Request(  # noqa: S310 - settings.user.Notify takes http and https alone
        url, content, {"Content-Type": "application/json", "User-Agent": "fairlab"}, method="POST"
    )
    for attempt in range(TRIES):
        try:
            urllib.request.build_opener(_Straight).open(request, timeout=WAIT_S).close()
            return
        except Exception as error:  # OSError, ValueError, and http.client's own
            fault = error
        if attempt + 1 < TRIES:
            time.sleep(0.5)
    raise FairLabError(f"the address of notify.url did not take the message: {_words(fault)}")


def start(command: Sequence[str], content: bytes) -> None:
    """Start the owner's program with the message as its input; it is ended after WAIT_S. Raises FairLabError."""
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=os.name != "nt",
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise FairLabError(f"the program of notify.command could not be started: {_words(error)}") from error
    try:
        process.communicate(content, timeout=WAIT_S)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(OSError):
            if os.name == "nt":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise FairLabError(f"the program of notify.command had not ended after {WAIT_S:g} s and was ended") from error
    if process.returncode:
        raise FairLabError(f"the program of notify.command ended with {process.returncode}")


def _words(error: Exception) -> str:
    """An error in a few words, without the address, which may hold a secret."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)[:160]
    if isinstance(error, FairLabError | OSError):
        return str(error)[:160]
    return type(error).__name__  # http.client.InvalidURL, for one, quotes the address
