"""One file, one registration: how losses, methods, backbones ... get their name in the app.

A registry imports the modules of its package on first use, so that adding a file is enough.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from fairlab.errors import FairLabError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind. `kind` is the word used in messages, `package` the folder searched."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._entries: dict[str, T] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._loaded = self._loading = False
        self._lock = threading.RLock()

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator: enter the class or function under `name`, with `facts` a page may show."""

        def enter(entry: T) -> T:
            known = self._entries.get(name)
            if known is not None and _origin(known) != _origin(entry):
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            self._facts[name] = facts
            return entry

        return enter

    def _load(self) -> None:
        if self._loaded:
            return
        with self._lock:  # a second thread waits for the whole list; the loading one may ask again meanwhile
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                package = importlib.import_module(self.package)
                for module in pkgutil.iter_modules(package.__path__):
                    importlib.import_module(f"{self.package}.{module.name}")
                self._loaded = True  # only now: after a failed import the next asker gets the error too
            finally:
                self._loading = False

    def __getitem__(self, name: str) -> T:
        self._load()
        if name not in self._entries:
            raise FairLabError(f"there is no {self.kind} {name!r}; choose one of: {', '.join(self.names())}")
        return self._entries[name]

    def facts(self, name: str) -> dict[str, Any]:
        """What was said at registration, e.g. unit= and fair_value= of a metric."""
        self[name]
        return dict(self._facts[name])

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries


def _origin(entry: object) -> object:
    """Where an entry was written; the same place may register again (a reload), another may not."""
    return getattr(entry, "__module__", ""), getattr(entry, "__qualname__", entry)


@cache
def declared_facts(registry: str, package: str) -> dict[str, dict[str, Any]]:
    """What is registered in fairlab/<package>/ as @<registry>.register("name", fact=...): names, sorted, and their facts
    as far as they are written out, read without importing.

    Pages and plans choose with it: importing the losses would import torch, which costs them seconds.
    """
    found: dict[str, dict[str, Any]] = {}
    folder = Path(__file__).parent / package
    if not folder.is_dir():  # glob finds nothing in a folder that has moved, and says nothing
        raise FileNotFoundError(folder)
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "register"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == registry
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found[str(node.args[0].value)] = {
                    word.arg: value
                    for word in node.keywords
                    if word.arg and (value := _written(word.value)) is not None
                }
    return dict(sorted(found.items()))


def _written(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:  # computed: only the registry itself knows it
        return None


def declared(registry: str, package: str) -> tuple[str, ...]:
    """The names of declared_facts."""
    return tuple(declared_facts(registry, package))
