"""The link that opens the app: its secret, what a browser keeps instead, and the links of the servers that run.

The secret is random and lasts as long as the server. After the link a browser keeps a cookie made from a key, which lies
in the user's configuration folder, so open tabs and bookmarks outlive a restart. FAIRLAB_TOKEN replaces both, for
containers.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
from filelock import FileLock

from fairlab.errors import FairLabError
from fairlab.files import explain, make_folder, read_json, write_bytes, write_json
from fairlab.settings.user import config_folder

VARIABLE = "FAIRLAB_TOKEN"
SHORTEST = 16
"""Letters of a token that the user chooses."""
KEY_FILE = "app-key"
LOGIN = "/login"


@dataclass(frozen=True)
class Keys:
    """token: what the link carries; key: what cookies are made from."""

    token: str
    key: bytes

    def opens(self, token: str) -> bool:
        """Is this the link's token?"""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def cookie(self, address: str) -> str:
        """What a browser keeps for an address such as http://127.0.0.1:8501."""
        return hmac.new(self.key, f"cookie {address}".encode(), hashlib.sha256).hexdigest()

    def knows(self, cookie: str, address: str) -> bool:
        """Is this the cookie of that address?"""
        return hmac.compare_digest(cookie.encode(), self.cookie(address).encode())


def make_keys() -> Keys:
    """The keys of a server that starts now. Raises FairLabError for a short FAIRLAB_TOKEN, or where no key can be kept."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen and (len(chosen) < SHORTEST or not chosen.isprintable()):
        raise FairLabError(f"{VARIABLE} must have {SHORTEST} printable characters or more; unset it for a random one")
    if chosen:
        return Keys(chosen, chosen.encode())
    return Keys(secrets.token_urlsafe(32), _kept_key(config_folder() / KEY_FILE))


def link(address: str, keys: Keys) -> str:
    """The link that opens the app at an address."""
    return f"{address}{LOGIN}?token={quote(keys.token, safe='')}"


@contextmanager
def announced(address: str, home: Path, keys: Keys) -> Iterator[None]:
    """While the body runs, `fairlab link` finds this server. Where nothing can be kept, only the terminal shows the link."""
    path = _servers() / f"{os.getpid()}.json"
    with contextlib.suppress(FairLabError):
        write_json(path, {**_process(os.getpid()), "link": link(address, keys), "workspace": str(home)})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def links() -> list[tuple[str, str]]:
    """(link, workspace) of this user's servers that run on this machine; what dead ones left is removed."""
    found = []
    for path in sorted(_servers().glob("*.json")):
        with contextlib.suppress(FairLabError, OSError, KeyError, TypeError, ValueError):
            noted = read_json(path)
            if _process(int(noted["pid"])) == {"pid": noted["pid"], "started": noted["started"]}:
                found.append((str(noted["link"]), str(noted["workspace"])))
            else:
                path.unlink(missing_ok=True)
    return found


def seal(kind: str, text: str) -> str:
    """What only this user, with this configuration folder, can put under a text. Raises FairLabError where no key can be kept."""
    key = _kept_key(config_folder() / KEY_FILE)
    return hmac.new(key, f"{kind}\n{text}".encode(), hashlib.sha256).hexdigest()


def sealed(kind: str, text: str, mark: str) -> bool:
    """Did this user put the seal `mark` under the text?"""
    try:
        return hmac.compare_digest(seal(kind, text).encode(), mark.encode("utf-8", "replace"))
    except FairLabError:
        return False


def _servers() -> Path:
    return config_folder() / "servers"


def _process(pid: int) -> dict[str, float]:
    try:
        return {"pid": pid, "started": psutil.Process(pid).create_time()}
    except psutil.Error:
        return {}


def _kept_key(path: Path) -> bytes:
    """The user's key, made when there is none. Raises FairLabError for one that others can read."""
    try:
        make_folder(path.parent)
        with FileLock(path.with_name(f"{KEY_FILE}.lock"), timeout=30, mode=0o600):
            if not path.exists():
                write_bytes(path, secrets.token_hex(32).encode())
                path.chmod(0o600)
        if os.name != "nt" and path.stat().st_mode & 0o077:
            raise FairLabError(f"{path} can be read by other accounts: delete it, and FairLab creates a new one")
        key = path.read_bytes()
    except OSError as error:
        raise FairLabError(f"{explain(error, path)}; or set {VARIABLE} to a secret of {SHORTEST} letters") from error
    if len(key) != 64:
        raise FairLabError(f"{path} is not a FairLab key: delete it, and FairLab creates a new one")
    return key
