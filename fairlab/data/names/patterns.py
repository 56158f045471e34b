"""Who is shown, told by the names of the files: by a template of the user, or as well-known data sets name theirs.

A template is a file's name without its ending, in which words in braces stand for what differs: `{identity}_{number}`.
With "/" it covers folders too: `{group}/{identity}_{number}`. `{identity}` may hold any text; every other word holds no
letter that follows it in the template, so that a name fits in one way and quickly. {number} holds digits; {part} says
train, val or test; {group} and any further word become attributes. `{_}` stands for text that says nothing.

AgeDB names its images index_Name_age_gender (Moschoglou et al., CVPRW 2017); LFW, CALFW, CPLFW and RFW Name_number.
Face detectors such as MTCNN write `_0` for the first face behind the name of a picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fairlab.data.listing import PICTURES
from fairlab.errors import FairLabError

IDENTITY, NUMBER, PART, NOTHING = "identity", "number", "part", "_"
MAX_LETTERS, MAX_FIELDS = 200, 10
MOST = 0.95
"""Share of the names that must fit before they are believed to be a known data set's."""
_FIELD = re.compile(r"\{([^{}]*)\}")
_KNOWN = (
    ("index_name_age_gender, as AgeDB's", re.compile(r"\d+_(?P<identity>.+)_(?P<age>\d{1,3})_(?P<gender>[mf])")),
    (
        "name_index_age_gender, as AgeDB's",
        re.compile(r"(?P<identity>.+?)_\d+_(?P<age>\d{1,3})_(?P<gender>[mf])(?:_[^_]*)?"),
    ),
    ("name_number", re.compile(r"(?P<identity>.+)_\d+")),
)
_FACE = re.compile(r"(.+)_\d$")


@dataclass(frozen=True)
class Told:
    """What names say. fields: a row per image, with identity ("" where a name does not fit) and what else the names
    say; how: half a sentence; says_identity: False where a template has no {identity}."""

    fields: pd.DataFrame
    how: str
    says_identity: bool = True


def compiled(template: str) -> re.Pattern[str]:
    """The template as a pattern for whole names. Raises FairLabError, saying what is wrong with it."""

    def refuse(why: str) -> FairLabError:
        return FairLabError(
            f"identity_pattern {template[:80]!r} {why}; expected a file name without its extension, with a word in "
            "braces for each part that varies, e.g. {identity}_{number}"
        )

    if len(template) > MAX_LETTERS:
        raise refuse(f"has more than {MAX_LETTERS} letters")
    pieces = _FIELD.split(template)  # text, field, text, field ... text
    fields, texts = pieces[1::2], pieces[0::2]
    if not fields:
        raise refuse("has no words in braces")
    if len(fields) > MAX_FIELDS:
        raise refuse(f"has more than {MAX_FIELDS} words in braces")
    if any("{" in text or "}" in text for text in texts):
        raise refuse("has an unmatched brace")
    pattern = re.escape(texts[0])
    for place, (field, text) in enumerate(zip(fields, texts[1:], strict=True)):
        if field != NOTHING and (not field.isidentifier() or fields.count(field) > 1):
            raise refuse(
                f"has the word {field[:40]!r} twice" if field.isidentifier() else f"has no word in {{{field[:40]}}}"
            )
        if not text and place < len(fields) - 1:
            raise refuse(f"needs a separator between {{{field}}} and {{{fields[place + 1]}}}")
        holds = r"[^/]+" if field == IDENTITY else r"\d+" if field == NUMBER else f"[^/{re.escape(text[:1])}]+"
        pattern += (f"({holds})" if field == NOTHING else f"(?P<{field}>{holds})") + re.escape(text)
    return re.compile(pattern)


def by_template(template: str, files: Sequence[str]) -> Told:
    """What the user's template says of files named by their paths below the root, with "/". Raises FairLabError."""
    pattern = compiled(template)
    levels = template.count("/") + 1
    fields = [field for field in pattern.groupindex if field != NUMBER]
    rows = []
    for file in files:
        match = pattern.fullmatch("/".join(_stem(file).rsplit("/", levels)[-levels:]))
        rows.append(tuple(match[field] for field in fields) if match else None)
    if not any(row is not None for row in rows):
        raise FairLabError(f"identity_pattern {template!r} matches no image name, for example not {_stem(files[0])!r}")
    empty = ("",) * len(fields)
    table = pd.DataFrame([row or empty for row in rows], columns=fields, dtype=object)
    fits = [row is not None for row in rows]
    table["fits"] = fits
    return Told(table, f"names read as {template}", IDENTITY in fields)


def by_custom(files: Sequence[str]) -> list[Told]:
    """What the names may say, as the data sets of the field name their images; the likeliest first, [] for other names.

    A name must have a letter: 25_0_2_2017.jpg counts things, and no person.
    """
    stems = [_stem(file).rpartition("/")[2] for file in files]
    cut = [match[1] if (match := _FACE.match(stem)) else stem for stem in stems]
    faces = sum(stem.endswith("_0") for stem in stems) >= MOST / 2 * len(stems) and cut != stems
    told = []
    for names, behind in (((cut, " followed by the number of a face"),) if faces else ()) + ((stems, ""),):
        for how, pattern in _KNOWN:
            matches = [pattern.fullmatch(name) for name in names]
            rows = [match.groupdict() if match and _has_letter(match["identity"]) else {} for match in matches]
            if sum(map(bool, rows)) >= MOST * len(rows):
                columns = list(pattern.groupindex)
                table = pd.DataFrame(
                    [[row.get(name, "") for name in columns] for row in rows], columns=columns, dtype=object
                )
                table["fits"] = list(map(bool, rows))
                told.append(Told(table, f"names read as {how}{behind}"))
    return told


def preview(files: Sequence[str], identities: Sequence[str], most: int = 5) -> str:
    """Some names and who they say is shown, e.g. "Al_Gore_0001.jpg is Al_Gore", one for every identity."""
    shown: dict[str, str] = {}
    for file, identity in zip(files, identities, strict=True):
        if identity not in shown:
            shown[identity] = file
            if len(shown) == most:
                break
    return ", ".join(f"{file} is {identity}" for identity, file in shown.items())


def _stem(file: str) -> str:
    return file.rpartition(".")[0] if file.lower().endswith(PICTURES) else file


def _has_letter(text: str) -> bool:
    return any(letter.isalpha() for letter in text)
