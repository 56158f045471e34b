"""JSON and TOML: the one place that reads them, with kind, depth and length checked before anything uses a value."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

from fairlab.errors import Damaged

DEEPEST = 64
"""Levels of nesting; our own files have fewer than ten."""
LONGEST_TOML = 1 << 20
"""Characters: a preset has a few thousand, and the reader of TOML is slow."""
Pairs = Callable[[list[tuple[str, Any]]], Any]


def parse_json(content: bytes | str, where: str, kind: type = dict, pairs: Pairs | None = None) -> Any:
    """A JSON text whose outermost value is a `kind` (object: any). Raises Damaged, naming `where` it came from.

    pairs: what makes an object of its names and values, as in the standard library; it may raise ValueError.
    """
    try:
        value = json.loads(content, object_pairs_hook=pairs)
        text = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
        deep = text.count(b"[") + text.count(b"{") > DEEPEST and _deeper(value, DEEPEST)
    except RecursionError:
        deep = True
    except ValueError as error:
        raise Damaged(f"{where} is not readable JSON: {str(error)[:200]}") from error
    if deep:
        raise Damaged(f"{where} is nested more than {DEEPEST} levels deep; FairLab writes no such file")
    if not isinstance(value, kind):
        wanted = "an object with names" if kind is dict else "a list" if kind is list else "a text"
        raise Damaged(f"{where} is not a FairLab file: expected {wanted}, not {type(value).__name__}")
    return value


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """A TOML text. Raises Damaged, naming `where` it came from."""
    if len(content) > LONGEST_TOML:
        raise Damaged(f"{where} is too large for settings: {len(content):,} of {LONGEST_TOML:,} bytes")
    try:
        values = tomllib.loads(content.decode("utf-8-sig"))
        deep = _deeper(values, DEEPEST)
    except RecursionError:
        deep = True
    except ValueError as error:  # also UnicodeDecodeError, TOMLDecodeError, and numbers of thousands of digits
        raise Damaged(f"{where} is not readable TOML: {str(error)[:200]}") from error
    if deep:
        raise Damaged(f"{where} is nested more than {DEEPEST} levels deep")
    return values


def value_of(text: str) -> Any:
    """What somebody typed: a number, a list, true, null where the text is one in JSON, otherwise the text itself."""
    try:
        return parse_json(text, "", object)
    except Damaged:
        return text


def values_of(text: str) -> list[Any]:
    """What somebody typed as several values with commas between: numbers, names, true and false, lists in brackets."""
    whole = value_of(f"[{text}]")
    if isinstance(whole, list):
        return whole
    return [value_of(part.strip()) for part in text.split(",") if part.strip()]


def as_read(value: Any) -> Any:
    """A value as the reader of its JSON will have it: lists instead of tuples, text as keys."""
    return json.loads(json.dumps(value))


def _deeper(value: Any, most: int) -> bool:
    """Is a value nested deeper than that?"""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)
