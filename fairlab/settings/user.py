"""What the user alone decides for this account: programs that FairLab starts, addresses the app answers at, where pages write.

It lies in the user's configuration folder, never in a workspace: a workspace may come from somebody else, and a page must
not name a program to run.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from fairlab.errors import FairLabError
from fairlab.files import explain, write_bytes
from fairlab.reading.structured import parse_toml
from fairlab.settings.base import PathText, Settings, Text
from fairlab.settings.study import changed, parse

FILE = "config.toml"
FOLDER_VARIABLE = "FAIRLAB_CONFIG"
COMMAND = "fairlab settings config --set"
"""How a user changes one of these settings; messages name it."""


class App(Settings):
    """Who may reach the app."""

    remote: bool = Field(
        False,
        description="Also serve other machines, if the server listens on their network (FAIRLAB_ALLOW_REMOTE=1 does the same). "
        "The link's secret then crosses the network unencrypted, unless a proxy adds HTTPS.",
    )
    addresses: tuple[Text, ...] = Field(
        (),
        max_length=20,
        description="Further addresses that a browser may use, e.g. http://localhost:9000 for ssh -L 9000:127.0.0.1:8501 "
        "(FAIRLAB_ADDRESSES does the same, with commas).",
    )

    @field_validator("addresses")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != address.lower():
                raise ValueError(f"{address[:80]!r} is not scheme, host and port, e.g. http://localhost:9000")
        return tuple(address.lower() for address in value)


class SlurmPrograms(Settings):
    """Programs and options that reach a Slurm cluster."""

    commands: tuple[PathText, ...] = Field(
        (),
        max_length=20,
        description="Words before sbatch, squeue and scancel where this machine has none, e.g. ssh login1.",
    )
    python: PathText = Field("", description="Python with FairLab on the nodes; empty: the one that runs here.")
    options: tuple[Text, ...] = Field(
        (), max_length=50, description="Further options of sbatch, e.g. --constraint=a100."
    )


class Mlflow(Settings):
    """The server that the logger mlflow writes to."""

    uri: Text = Field(
        "",
        description="Tracking URI, e.g. http://server:5000 or sqlite:////path/mlflow.db; empty: MLFLOW_TRACKING_URI.",
    )


class Notify(Settings):
    """Whom the logger notify tells of the end of a study."""

    url: Text = Field(
        "", description="Address that a message in JSON is posted to, e.g. http://localhost:8000/hook; empty: none."
    )
    command: tuple[PathText, ...] = Field(
        (),
        max_length=50,
        description="Program and its arguments, which gets the message in JSON as its input; empty: none.",
    )

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("an address with http:// or https:// and a host belongs here")
        return value


class Files(Settings):
    """Where the app's pages may write besides the workspace."""

    write_to: tuple[PathText, ...] = Field(
        (), max_length=50, description="Folders that pages may also write new files into, e.g. /data/archives."
    )


class UserSettings(Settings):
    """Everything in the configuration file."""

    app: App = App()
    slurm: SlurmPrograms = SlurmPrograms()
    mlflow: Mlflow = Mlflow()
    notify: Notify = Notify()
    files: Files = Files()


def config_folder() -> Path:
    """FAIRLAB_CONFIG, or the folder `fairlab` where this system keeps a user's configuration."""
    asked = os.environ.get(FOLDER_VARIABLE)
    if asked:
        return Path(asked).expanduser().absolute()
    base = os.environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "fairlab"


def config_file() -> Path:
    """The file that holds these settings; it need not exist."""
    return config_folder() / FILE


def user_settings() -> UserSettings:
    """The user's settings, with what the environment adds. Raises FairLabError for a file that others could have written."""
    kept = _kept()
    variable = os.environ.get("FAIRLAB_ALLOW_REMOTE", "")
    if variable not in ("", "0", "1"):
        raise FairLabError(f"FAIRLAB_ALLOW_REMOTE must be 1 or 0, not {variable[:40]!r}")
    more = tuple(part.strip() for part in os.environ.get("FAIRLAB_ADDRESSES", "").split(",") if part.strip())
    app = {"remote": kept.app.remote or variable == "1", "addresses": (*kept.app.addresses, *more)}
    return kept.model_copy(update={"app": parse(App, app, "FAIRLAB_ADDRESSES")})


def set_user_settings(dials: Mapping[str, Any]) -> UserSettings:
    """Change dotted settings, e.g. {"slurm.python": "/opt/py/bin/python"}, and keep them. Raises FairLabError."""
    settings = changed(_kept(), dials)
    lines: list[str] = []
    for table, values in settings.model_dump(mode="json", exclude_defaults=True).items():
        lines += [f"[{table}]", *(f"{name} = {_toml(name, value)}" for name, value in values.items()), ""]
    write_bytes(config_file(), "\n".join(lines).encode())
    if os.name != "nt":
        config_file().chmod(0o600)
    return settings


def private(path: Path) -> None:
    """Raise FairLabError where another account could have written `path`: it decides which programs FairLab starts."""
    if os.name == "nt":
        return
    for place in (path, path.parent):
        facts = place.stat()
        if facts.st_uid not in (0, os.getuid()):
            raise FairLabError(f"{place} belongs to another account; FairLab reads no settings from there")
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise FairLabError(f"{place} can be changed by other accounts: run `chmod go-w {place}`")


def _kept() -> UserSettings:
    path = config_file()
    try:
        if not path.exists():
            return UserSettings()
        private(path)
        return parse(UserSettings, parse_toml(path.read_bytes(), str(path)), str(path))
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error


def _toml(name: str, value: Any) -> str:
    """A bool, text or list of texts as TOML, which writes them as JSON does, but for control characters."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and not text.isprintable():
            raise FairLabError(f"{name}: {text[:60]!r} holds a character that cannot be printed")
    return json.dumps(value, ensure_ascii=False)


def may_write(path: Path, workspace_home: Path) -> Path:
    """`path`, for a page that writes it: below the workspace or a folder of files.write_to. Raises FairLabError."""
    try:
        real = path.expanduser().resolve()
        allowed = [workspace_home, *(Path(name).expanduser() for name in user_settings().files.write_to)]
        if any(real.is_relative_to(folder.resolve()) for folder in allowed):
            return real
    except (OSError, ValueError, RuntimeError) as error:
        raise FairLabError(explain(OSError(0, str(error)), path)) from error
    raise FairLabError(
        f"a page writes only below the workspace {workspace_home}, not to {path}; allow another folder with "
        f"`{COMMAND} files.write_to='[\"FOLDER\"]'`"
    )
