"""BFW's table of pairs (Balanced Faces in the Wild): a row per pair, a column of scores per model; CSV or parquet.

Columns: fold, p1, p2 (images), label (1: genuine), id1, id2 (identities), att1, att2 (e.g. asian_females), a1, a2 (the
same, short), g1, g2 (gender), e1, e2 (ethnicity). Source: the table published with BFW (Robinson et al., CVPRW 2020).
Further attributes stand as attribute.<name>1, attribute.<name>2; any other column of numbers is a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.column_tables import ColumnTable, Texts
from fairlab.data.formats.table_headers import Header
from fairlab.data.readers.scores.scored_pairs import Both, Claims, ScoreTable, checked
from fairlab.data.readers.scores.writing import both_sides, check_scores, write_table
from fairlab.errors import Damaged, FairLabError
from fairlab.reading.column_names import GENUINE

NEEDED = ("p1", "p2", "label")
ATTRIBUTES = {"att": "subgroup", "a": "subgroup_code", "g": "gender", "e": "ethnicity"}
"""The columns' names and what they say; both forms are understood where an attribute is asked for."""
OURS = "attribute."
_ROW_NUMBERS = re.compile(r"|index|level_0|unnamed: \d+|__index_level_0__")


def is_bfw(header: Header) -> bool:
    """Has a table with this header pairs in BFW's columns?"""
    return set(NEEDED) <= set(header.lower)


def read_bfw(path: Path, header: Header, attribute: str = "") -> ScoreTable:
    """Read a table of pairs. attribute: which one gives the groups ("gender" or "g", ...); subgroup if not said.

    Raises FairLabError for an attribute that is not there, Damaged for what is wrong, by file and line.
    """
    known = {name.lower(): name for name in reversed(header.names)}
    sides = _attributes(path, known, header.names)
    if not sides:
        raise Damaged(f"{path} names no groups: att1 and att2 are missing, and a1/a2, g1/g2 and e1/e2 too")
    asked = ATTRIBUTES.get(attribute, attribute) or next(iter(sides))
    if asked not in sides:
        raise FairLabError(f"{path} has no attribute {attribute!r}; it has: {', '.join(sides)}")
    if ("id1" in known) != ("id2" in known):
        raise Damaged(f"{path} has only one of the columns id1 and id2")
    wanted = [*NEEDED, *(name for name in ("fold", "id1", "id2") if name in known)]
    text = [known[name] for name in wanted] + [name for pair in sides.values() for name in pair]
    others = [name for name in header.names if name not in text and not _ROW_NUMBERS.fullmatch(name.lower())]
    table = ColumnTable(path, header, [*text, *others], text)
    notes: list[str] = []
    scores, further = _scores(table, others, notes)
    said = {name: Both.of(*(table.ids(column) for column in pair)) for name, pair in {**sides, **further}.items()}
    names = [table.texts(known[side]) for side in ("p1", "p2")]
    if "id1" in known:
        identities = [table.ids(known[side]) for side in ("id1", "id2")]
    else:
        identities = [folders(table, side) for side in names]
        notes.append("the table has no id1 and id2: the folder of an image is used as its identity")
    claims = Claims(
        "bfw",
        asked,
        Both.of(*names),
        Both.of(*identities),
        said.pop(asked),
        truth(table, known["label"]),
        whole_numbers(table, known["fold"]) if "fold" in known else None,
        scores,
        said,
        notes=notes,
    )
    return checked(table, claims)


def _attributes(path: Path, known: Mapping[str, str], names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """What each pair of columns says -> the two columns. Raises Damaged when there is one without the other."""
    stems = {short: (title, [f"{short}1", f"{short}2"]) for short, title in ATTRIBUTES.items()}
    found = {}
    for title, pair in stems.values():
        there = [known[name] for name in pair if name in known]
        if len(there) == 1:
            raise Damaged(f"{path} has only one of the columns {pair[0]} and {pair[1]}")
        if there:
            found[title] = (there[0], there[1])
    for name in names:
        if name.startswith(OURS) and name.endswith("1") and f"{name[:-1]}2" in names:
            title = name[len(OURS) : -1]
            found[title if title not in found else f"{title}_"] = (name, f"{name[:-1]}2")
    return found


def _scores(
    table: ColumnTable, others: list[str], notes: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str]]]:
    """(scores of each model, further attributes: text in columns <name>1 and <name>2) of the columns BFW does not name."""
    scores, texts = {}, []
    for name in others:
        values = table.numbers(name)
        if values is None:
            texts.append(name)
        else:
            scores[name] = values
    if not scores:
        raise Damaged(f"{table.path} has no column of scores; expected one per model")
    further = {name[:-1]: (name, f"{name[:-1]}2") for name in texts if name[-1:] == "1" and f"{name[:-1]}2" in texts}
    unused = [name for name in texts if name not in {column for pair in further.values() for column in pair}]
    if unused:
        notes.append(f"columns without numbers, not used: {', '.join(unused)}")
    return scores, further


def truth(table: ColumnTable, name: str) -> np.ndarray:
    """(P,) is the pair genuine?"""
    label = table.ids(name)
    meaning = [GENUINE.get(value.strip().lower()) for value in label.values]
    if None in meaning:
        row = int(np.argmax(label.codes == meaning.index(None)))
        raise table.wrong(row, f"{name} is {label.of(row)[:40]!r}, expected 1 (genuine) or 0 (impostor)")
    genuine: np.ndarray = np.array(meaning, dtype=bool)[label.codes]
    return genuine


def whole_numbers(table: ColumnTable, name: str) -> np.ndarray:
    """(P,) int64 of a column of folds. Raises Damaged."""
    column = table.texts(name)
    found = [re.fullmatch(r"\s*(\d{1,9})(\.0+)?\s*", value, re.ASCII) for value in column.values]
    if None in found:
        row = int(np.argmax(column.codes == found.index(None)))
        raise table.wrong(row, f"{name} is {column.of(row)[:40]!r}, expected a whole number")
    numbers: np.ndarray = np.array([int(match[1]) for match in found if match], np.int64)[column.codes]
    return numbers


def folders(table: ColumnTable, names: Texts) -> Texts:
    """The folder of each image, as its identity."""
    for code, name in enumerate(names.values):
        if "/" not in name:
            row = int(np.argmax(names.codes == code))
            raise table.wrong(row, f"{name[:80]!r} has no folder, so its identity is not known; id1 and id2 are needed")
    return Texts.joined(names.codes, [name.rpartition("/")[0] for name in names.values])


def write_bfw(
    path: Path, images: pd.DataFrame, pairs: pd.DataFrame, scores: Mapping[str, np.ndarray], attribute: str = ""
) -> None:
    """Write pairs as `read_bfw` reads them; parquet when `path` ends so.

    images, pairs: as a ScoreTable or a data set has them (image_a, image_b: image_id where images have it, else row
    numbers). scores: model -> (P,). attribute: what the groups are; they stand in att1 and att2, or where "gender",
    "ethnicity" or "subgroup_code" belong. Raises FairLabError for what could not be read back.
    """
    frame = pd.DataFrame({"fold": pairs["fold"].to_numpy() + 1})
    first, second, genuine = both_sides(images, pairs)
    shorts = {title: short for short, title in ATTRIBUTES.items()}
    chosen = shorts.get(ATTRIBUTES.get(attribute, attribute), "att")
    for side, rows in (("1", first), ("2", second)):
        frame[f"p{side}"] = rows["location"].to_numpy()
        frame[f"id{side}"] = rows["identity"].to_numpy()
    frame["label"] = genuine.astype(np.int64)
    columns = {chosen: "group"}
    for column in (str(name) for name in images if str(name).startswith(OURS)):
        title = column[len(OURS) :]
        if images[column].astype(str).equals(images["group"].astype(str)) and title in (attribute, ATTRIBUTES[chosen]):
            continue
        columns[column if shorts.get(title, chosen) in columns else shorts[title]] = column
    for stem in sorted(columns, key=lambda name: [*ATTRIBUTES, name].index(name)):
        for side, rows in (("1", first), ("2", second)):
            frame[f"{stem}{side}"] = rows[columns[stem]].to_numpy()
    for model, values in scores.items():
        taken = {*NEEDED, "fold", "id1", "id2", *(f"{short}{side}" for short in ATTRIBUTES for side in "12")}
        if model.lower() in taken or model.startswith(OURS) or _ROW_NUMBERS.fullmatch(model.lower()):
            raise FairLabError(f"a model cannot be called {model!r} in a BFW table; choose another name")
        frame[model] = check_scores(values, len(pairs), model)
    if not scores:
        raise FairLabError("a BFW table needs the scores of at least one model")
    start = ["fold", "p1", "p2", "label", "id1", "id2"]
    write_table(path, frame[[*start, *(name for name in frame if name not in start)]])
