"""bob's scores: CSV with metadata of probe and reference (bob.bio, score-norm-fairness), and the old text of 4 or 5 columns.

CSV: probe_subject_id, bio_ref_subject_id, score, and whatever else is known of both sides as probe_<name> and
bio_ref_<name>, e.g. probe_race. Source: bob.bio.base's CSV score files. Text: `claimed_id [model] real_id probe score`,
parted by blanks. A comparison is genuine when both are of one subject.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.column_tables import ColumnTable, Texts
from fairlab.data.formats.table_headers import Header, first_line
from fairlab.data.readers.scores.bfw import whole_numbers
from fairlab.data.readers.scores.scored_pairs import Both, Claims, ScoreTable, checked
from fairlab.data.readers.scores.writing import both_sides, check_scores, write_table
from fairlab.errors import Damaged, FairLabError

PROBE, REFERENCE = "probe_", "bio_ref_"
NEEDED = ("probe_subject_id", "bio_ref_subject_id", "score")
EVERYONE = "everyone"
"""The one group of scores that come without groups."""
USUAL = ("race", "ethnicity")
_NAMES = {PROBE: ("key", "template_id", "path"), REFERENCE: ("template_id", "key", "reference_id", "path")}
_TECHNICAL = {"subject_id", "key", "template_id", "reference_id", "path"}
_TEXT = {4: ("claimed", "real", "probe", "score"), 5: ("claimed", "model", "real", "probe", "score")}
_DECIMAL = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?|[+-]?\d+\.?\d*[eE][+-]?\d+")


def is_bob(header: Header) -> bool:
    """Has a table with this header bob's columns?"""
    return set(NEEDED) <= set(header.lower)


def text_header(path: Path) -> Header | None:
    """The columns of the old text, when the first line is of that kind: the last of 4 or 5 fields is a decimal number.

    A list of pairs or boxes has whole numbers there, or decimal ones before it too. Raises FairLabError, Damaged.
    """
    number, line, encoding = first_line(path)
    separator = "\t" if "\t" in line else " "
    fields = line.split(separator)
    if len(fields) not in _TEXT or not _DECIMAL.fullmatch(fields[-1]) or any(map(_DECIMAL.fullmatch, fields[:-1])):
        return None
    return Header(_TEXT[len(fields)], separator, number - 1, quoted=False, encoding=encoding)


def read_bob(path: Path, header: Header, attribute: str = "") -> ScoreTable:
    """Read bob's CSV. attribute: which one gives the groups, e.g. "race"; race or ethnicity, or the only one, if not said.

    image_a is the reference, image_b the probe. Raises FairLabError for an attribute that is not there, Damaged for what
    is wrong, by file and line.
    """
    known = {name.lower(): name for name in reversed(header.names)}
    notes: list[str] = []
    attributes = [
        name.removeprefix(PROBE)
        for name in header.names
        if name.startswith(PROBE) and f"{REFERENCE}{name.removeprefix(PROBE)}" in header.names
    ]
    attributes = [name for name in attributes if name not in _TECHNICAL]
    asked = _attribute(path, attributes, attribute)
    if not asked:
        notes.append(f"the table has no attribute for both sides: all pairs are in one group, {EVERYONE!r}")
    named = {side: next((side + name for name in _NAMES[side] if side + name in known), "") for side in _NAMES}
    subjects = {side: known[f"{side}subject_id"] for side in _NAMES}
    columns = {side: known[name] if name else subjects[side] for side, name in named.items()}
    text = [*subjects.values(), *(side + name for name in attributes for side in _NAMES), *columns.values()]
    text += [known["fold"]] if "fold" in known else []
    text = list(dict.fromkeys(text))
    table = ColumnTable(path, header, [*text, known["score"]], text)
    if not all(named.values()):
        notes.append(
            "the table names subjects, not images: each subject gets one reference and one probe, and repeated "
            "comparisons of two subjects count as different images"
        )
    reference, probe = (_called(table, columns[side], side, bool(named[side])) for side in (REFERENCE, PROBE))
    said = {name: Both.of(*(table.ids(side + name) for side in (REFERENCE, PROBE))) for name in attributes}
    identity = Both.of(table.ids(subjects[REFERENCE]), table.ids(subjects[PROBE]))
    claims = Claims(
        "bob",
        asked or "group",
        Both.of(reference, probe),
        identity,
        said.pop(asked) if asked else Both(np.zeros(2 * table.rows, np.int64), [EVERYONE]),
        identity.same(),
        whole_numbers(table, known["fold"]) if "fold" in known else None,
        {"score": _numbers(table, known["score"])},
        said,
        all(named.values()),
        notes,
    )
    return checked(table, claims)


def read_bob_text(path: Path, header: Header) -> ScoreTable:
    """Read bob's old text; all pairs are in the group `EVERYONE`, as it has none. Raises FairLabError, Damaged."""
    text = [name for name in header.names if name != "score"]
    table = ColumnTable(path, header, header.names, text)
    claimed, real = table.ids("claimed"), table.ids("real")
    reference = _called(table, "model" if "model" in text else "claimed", REFERENCE, False)
    identity = Both.of(claimed, real)
    claims = Claims(
        "bob",
        "group",
        Both.of(reference, table.texts("probe")),
        identity,
        Both(np.zeros(2 * table.rows, np.int64), [EVERYONE]),
        identity.same(),
        None,
        {"score": _numbers(table, "score")},
        named="model" in text,
        notes=[f"bob's text format names no groups: all pairs are in one, {EVERYONE!r}; bob's CSV has groups"],
    )
    return checked(table, claims)


def _attribute(path: Path, attributes: list[str], asked: str) -> str:
    """The attribute that gives the groups, "" when there is none. Raises FairLabError, listing what there is."""
    choice = f"for both sides it has: {', '.join(attributes) or 'none'}"
    if asked and asked not in attributes:
        raise FairLabError(f"{path} has no attribute {asked!r}; {choice}")
    usual = [name for name in attributes if name.lower() in USUAL] or attributes
    if not asked and len(usual) > 1 and usual == attributes:
        raise FairLabError(f"{path}: name the attribute that gives the groups; {choice}")
    return asked or next(iter(usual), "")


def _called(table: ColumnTable, column: str, side: str, image: bool) -> Texts:
    """The names of one side; a subject's or a model's name says which side, so that it is no image of the other."""
    texts = table.texts(column) if image else table.ids(column)
    if image:
        return texts
    what = "probe" if side == PROBE else "reference"
    return Texts(texts.codes, [f"{value} ({what})" if value else "" for value in texts.values])


def _numbers(table: ColumnTable, name: str) -> np.ndarray:
    scores = table.numbers(name)
    if scores is None:
        raise Damaged(f"{table.path}: the column {name!r} holds no numbers")
    return scores


def write_bob(path: Path, images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, attribute: str) -> None:
    """Write one model's scores as bob's CSV, image_a as the reference, image_b as the probe; parquet if `path` ends so.

    images, pairs: as a ScoreTable or a data set has them (image_a, image_b: image_id where images have it, else row
    numbers). attribute: what the groups are, e.g. "race". The column fold, which bob does not have, is another column to
    it. Raises FairLabError for what could not be read back.
    """
    first, second, _ = both_sides(images, pairs)
    further = [str(name).removeprefix("attribute.") for name in images if str(name).startswith("attribute.")]
    further = [name for name in further if name != attribute]
    for name in (attribute, *further):
        if not name or name.lower() in _TECHNICAL:
            raise FairLabError(f"an attribute cannot be called {name!r} in bob's scores; choose another name")
    parts = {}
    for side, rows, key in ((PROBE, second, "key"), (REFERENCE, first, "template_id")):
        parts[side + key] = rows["location"].to_numpy()
        parts[f"{side}subject_id"] = rows["identity"].to_numpy()
        parts[side + attribute] = rows["group"].to_numpy()
        parts.update({side + name: rows[f"attribute.{name}"].to_numpy() for name in further})
    parts["fold"] = pairs["fold"].to_numpy()
    parts["score"] = check_scores(scores, len(pairs), "score")
    write_table(path, pd.DataFrame({**parts}))
