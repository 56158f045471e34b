"""Where a name stands in the workspace's reports, logs and tables beside the data, and the same without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fairlab.errors import Damaged
from fairlab.files import MANIFEST, digest, write_atomic, write_bytes
from fairlab.reading.structured import parse_json
from fairlab.workspace import Workspace

TEXTS = (".json", ".jsonl", ".txt", ".log", ".md", ".tex", ".html", ".toml")
ROWS = (".csv", ".tsv")
READ = ("results", "projections", "moved", "embeddings", "checkpoints")
"""Parts of a run whose tables name images by number."""
OURS = ("datasets", "forgetting", "catalogue.sqlite")
"""Not looked through here: data sets are written anew as a whole."""
STATE = (
    "events.jsonl",
    "heartbeat.json",
    "index.json",
    "job.json",
    "keep.json",
    "mlflow.json",
    "process.json",
    "queue.json",
    "told.json",
    "workspace.json",
)
"""What runs and workspace note of themselves. A name in it is another word or number that reads alike: never changed."""
FREE = {
    "labels.json": ("note", "tags"),
    "manifest.json": ("notes",),
    "report.json": ("examples", "notes", "path", "problems", "why", "will_do"),
    "status.json": ("reason",),
    "study.json": ("needs", "paper", "summary", "title"),
}
"""Files that are read by their keys: what stands under these is for people to read, all else stays as it is."""
ABSOLUTE = r"(?:/|[A-Za-z]:[\\/])"


class Name:
    """A person's name, and how it is told from other words: it is not part of a longer word or number.

    A name that is only a number counts where it is all of a text in JSON, or a folder in a path: as a word it is anything.
    In a path that starts at the system's root it counts only below `roots`, where the data lie: above is no person.
    """

    def __init__(self, names: Sequence[str], instead: str, roots: Sequence[str] = ()) -> None:
        self.names, self.instead = list(names), instead
        edge = r"[0-9A-Za-z]"
        words = [rf"(?<!{edge}){re.escape(name)}(?!{edge})" for name in names if not name.isdigit()]
        self.words = re.compile("|".join(words)) if words else None
        numbers = "|".join(re.escape(name) for name in names if name.isdigit())
        start = r"(?<![\w./\\-])"
        above = [rf"{start}{re.escape(root.rstrip('/'))}(?=[/\\]|$)" for root in sorted(roots, key=len, reverse=True)]
        skipped = "|".join([*above, rf"\A{ABSOLUTE}.*", rf"{start}{ABSOLUTE}\S*"])
        number = rf"(?<![^/\\])(?:{numbers})(?![^/\\])"
        self.numbers = re.compile(f"(?P<skipped>{skipped})|{number}", re.DOTALL) if numbers else None

    def within(self, text: str) -> bool:
        return self.without(text) != text

    def without(self, text: str) -> str:
        if self.words is not None:
            text = self.words.sub(lambda _found: self.instead, text)
        if self.numbers is not None:
            text = self.numbers.sub(lambda found: found["skipped"] or self.instead, text)
        return text

    def raw(self) -> list[bytes]:
        """Bytes of which one is in every file that holds the name."""
        return [form for name in self.names for form in {name.encode(), json.dumps(name)[1:-1].encode()}]


def mentioned(workspace: Workspace, name: Name) -> list[Path]:
    """Files of the workspace, beside data sets and what has a reader of its own, in which the name stands."""
    return [path for path in _candidates(workspace.home) if _holds(path, name)]


def is_kept(path: Path) -> bool:
    """Does a file stay as it is though a name stands in it: what a run is, and what a manifest beside it vouches for?"""
    return path.name == "run.json" or (path.name != MANIFEST and (path.parent / MANIFEST).exists())


def _candidates(home: Path) -> Iterator[Path]:
    for top in sorted(home.iterdir()):
        if top.name.startswith(OURS) or top.name == "probes":  # measurements of time
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            texts = (*TEXTS, *ROWS) if set(READ) & set(path.relative_to(home).parts) else (*TEXTS, *ROWS, ".parquet")
            if path.suffix in texts and path.name not in STATE and path.is_file() and ".tmp." not in str(path):
                yield path


def _holds(path: Path, name: Name) -> bool:
    try:
        if path.suffix == ".parquet":
            return bool(_rows_that_say(pd.read_parquet(path), name).any())
        content = path.read_bytes()
        if not any(form in content for form in name.raw()):
            return False
        text = content.decode("utf-8", "replace")
        return _rewritten(path, text, name) != text
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
    write_bytes(target, _rewritten(path, text, name).encode())


def _rewritten(path: Path, text: str, name: Name) -> str:
    """A file's text without the name; the same text where it does not stand in what may be changed."""
    words = any(not part.isdigit() for part in name.names)
    if path.suffix in ROWS:
        head, *lines = text.splitlines(keepends=True)
        return "".join([head, *(line for line in lines if not (words and name.within(line)))])
    if path.suffix == ".json":
        return _json_without(path, text, name)
    if path.suffix == ".jsonl":
        return "".join(_line_without(path, line, name) for line in text.splitlines(keepends=True))
    return name.without(text) if words else text


def _json_without(path: Path, text: str, name: Name) -> str:
    try:
        before = parse_json(text, str(path), object)
    except Damaged:
        return name.without(text)  # what is damaged is only text, and stays damaged
    content = _without(before, name, _free(path))
    if content == before:
        return text
    if isinstance(before, dict) and before.get("check") == _check(before):  # what was damaged stays so
        content["check"] = _check(content)
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _line_without(path: Path, line: str, name: Name) -> str:
    try:
        before = parse_json(line, path.name, object)
    except Damaged:
        return name.without(line)  # a torn line is only text
    content = _without(before, name, _free(path))
    return line if content == before else json.dumps(content) + "\n"


def _free(path: Path) -> tuple[str, ...] | None:
    """Under which keys of a file names of people may stand; None: anywhere, also as keys."""
    if path.parent.parent.name == "selections":
        return ("note",)
    return ("notes",) if path.parent.name == "projections" else FREE.get(path.name)


def _check(content: dict[str, Any]) -> str:
    return digest({key: value for key, value in content.items() if key != "check"})


def _without(value: Any, name: Name, free: tuple[str, ...] | None) -> Any:
    """A JSON value without the name, only under the keys `free`; None: anywhere."""
    if isinstance(value, str):
        return value if free else name.without(value)
    if isinstance(value, list):
        return [_without(item, name, free) for item in value]
    if isinstance(value, dict) and free:
        return {key: _below(item, name) if key in free else _without(item, name, free) for key, item in value.items()}
    if isinstance(value, dict):
        return {name.without(str(key)): _without(item, name, None) for key, item in value.items()}
    return value


def _below(value: Any, name: Name) -> Any:
    """What people read: all texts of it, and no keys."""
    if isinstance(value, dict):
        return {key: _below(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_below(item, name) for item in value]
    return name.without(value) if isinstance(value, str) else value
