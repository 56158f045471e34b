"""Where a name stands in the workspace's reports, logs and tables beside the data, and the same without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fairlab.files import digest, write_atomic, write_bytes
from fairlab.workspace import Workspace

TEXTS = (".json", ".jsonl", ".txt", ".log", ".md", ".tex", ".html", ".toml")
ROWS = (".csv", ".tsv")
READ = ("results", "projections", "embeddings", "checkpoints")
"""Parts of a run whose tables name images by number."""
OURS = ("datasets", "forgetting", "catalogue.sqlite")
"""Not looked through here: data sets are written anew as a whole."""


class Name:
    """A person's name, and how it is told from other words: it is not part of a longer word or number.

    A name that is only a number counts where it is all of a text in JSON, or a folder in a path: as a word it is anything.
    """

    def __init__(self, names: Sequence[str], instead: str) -> None:
        self.names, self.instead = list(names), instead
        parts = []
        for name in names:
            edge = r"[0-9A-Za-z]" if not name.isdigit() else r"[^/\\]"
            parts.append(rf"(?<!{edge}){re.escape(name)}(?!{edge})")
        self.pattern = re.compile("|".join(parts))

    def within(self, text: str) -> bool:
        return bool(self.pattern.search(text))

    def without(self, text: str) -> str:
        return self.pattern.sub(lambda _found: self.instead, text)

    def raw(self) -> list[bytes]:
        """Bytes of which one is in every file that holds the name."""
        return [form for name in self.names for form in {name.encode(), json.dumps(name)[1:-1].encode()}]


def mentioned(workspace: Workspace, name: Name) -> list[Path]:
    """Files of the workspace, beside data sets and what has a reader of its own, in which the name stands."""
    return [path for path in _candidates(workspace.home) if _holds(path, name)]


def _candidates(home: Path) -> Iterator[Path]:
    for top in sorted(home.iterdir()):
        if top.name.startswith(OURS):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            texts = (*TEXTS, *ROWS) if set(READ) & set(path.relative_to(home).parts) else (*TEXTS, *ROWS, ".parquet")
            if path.suffix in texts and path.is_file() and ".tmp." not in str(path):
                yield path


def _holds(path: Path, name: Name) -> bool:
    try:
        if path.suffix == ".parquet":
            return bool(_rows_that_say(pd.read_parquet(path), name).any())
        content = path.read_bytes()
        if not any(form in content for form in name.raw()):
            return False
        text = content.decode("utf-8", "replace")
        if path.suffix == ".json":
            return bool(_without(json.loads(text), name) != json.loads(text))
        return any(not part.isdigit() for part in name.names) and name.within(text)
    except (OSError, ValueError, KeyError):
        return False  # damaged: whatever reads it says so


def _rows_that_say(table: pd.DataFrame, name: Name) -> pd.Series:
    said = pd.Series(False, index=table.index)
    for column in table.columns:
        if not (pd.api.types.is_numeric_dtype(table[column]) or pd.api.types.is_bool_dtype(table[column])):
            said |= (
                table[column].map(lambda value: name.within(str(value)), na_action="ignore").fillna(False).astype(bool)
            )
    return said


def write_without(path: Path, name: Name, target: Path) -> None:
    """Write the file at `path` to `target` without the name: rows of tables that say it go, in texts another word stands."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        left = table[~_rows_that_say(table, name)].reset_index(drop=True)
        write_atomic(target, lambda temporary: left.to_parquet(temporary, index=False))
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in ROWS:
        head, *lines = text.splitlines(keepends=True)
        write_bytes(target, "".join([head, *(line for line in lines if not name.within(line))]).encode())
    elif path.suffix == ".json":
        before = json.loads(text)
        content = _without(before, name)
        if isinstance(before, dict) and before.get("check") == _check(before):  # what was damaged stays so
            content["check"] = _check(content)
        write_bytes(target, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    else:
        write_bytes(target, name.without(text).encode())


def _check(content: dict[str, Any]) -> str:
    return digest({key: value for key, value in content.items() if key != "check"})


def _without(value: Any, name: Name) -> Any:
    if isinstance(value, str):
        return name.without(value)
    if isinstance(value, list):
        return [_without(item, name) for item in value]
    if isinstance(value, dict):
        return {name.without(str(key)): _without(item, name) for key, item in value.items()}
    return value
