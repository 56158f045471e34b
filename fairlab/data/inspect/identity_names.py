"""Can the names of two data sets' people be compared, and which name the same person?

A name counts only when it says who somebody is: a Freebase id (m.0abc), a numbered name of one collection (n000123 of
VGGFace2), a person's name. "17", "person_17" or "lfw 17" only count somebody's people, and 17 here is not 17 there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTING = frozenset(
    [
        "class",
        "demo",
        "face",
        "folder",
        "group",
        "id",
        "identity",
        "identities",
        "img",
        "image",
        "label",
        "p",
        "people",
        "person",
        "s",
        "subject",
        "synth",
        "synthetic",
        "train",
        "test",
        "user",
        "val",
        "validation",
    ]
)
"""Words before a number that make no name of it."""
_FREEBASE = re.compile(r"(?:^|/)([mg])[./]([0-9a-z_]+)$")
_NUMBERED = re.compile(r"^(.*?)[ _.-]?(\d+)$")


def normal(name: str) -> str:
    """A name as it is compared: Unicode NFKC, no case, the last part of a path, one _ for blanks, - and _; /m/0abc is m.0abc."""
    text = unicodedata.normalize("NFKC", str(name)).casefold().strip().rstrip("/")
    freebase = _FREEBASE.search(text)
    if freebase:
        return f"{freebase[1]}.{freebase[2]}"
    return re.sub(r"[\s_-]+", "_", text.rpartition("/")[2]).strip("_")


def scheme(name: str) -> str:
    """How a normalised name is built: "freebase", "words", "n#" (numbered, with its letters), or "" for a mere number."""
    if re.fullmatch(r"[mg]\.[0-9a-z_]+", name):
        return "freebase"
    numbered = _NUMBERED.match(name)
    if numbered is None:
        return "words" if any(letter.isalpha() for letter in name) else ""
    words = [word for word in re.split(r"[\W\d_]+", numbered[1]) if len(word) > 1]
    letters = [word for word in re.split(r"[\W\d_]+", numbered[1]) if word]
    if not letters or (set(words) | set(letters)) & COUNTING:
        return ""
    return f"{numbered[1]}#"


@dataclass(frozen=True)
class Names:
    """What names say of a test's people. shared: test name -> train name, of those in both; comparable: test names of
    a kind that the train set has too, so that they tell; the others cannot.
    """

    shared: Mapping[str, str]
    comparable: frozenset[str]


def compare_names(train: Sequence[str], test: Sequence[str]) -> Names:
    """Which of `test` names a person whom `train` names too."""
    known: dict[str, str] = {}
    for name in sorted(train):
        known.setdefault(normal(name), name)
    kinds = {scheme(name) for name in known} - {""}
    comparable = frozenset(name for name in test if scheme(normal(name)) in kinds)
    return Names({name: known[normal(name)] for name in comparable if normal(name) in known}, comparable)
