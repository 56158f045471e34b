"""Any other table of scored pairs, by the usual names of its columns (column_names): a row per pair, a column of scores.

Whose faces: id1 and id2, else the folders of img1 and img2. Without names of images a person's are told apart by side
only, as in bob's tables.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlab.data.formats.column_tables import ColumnTable, Texts
from fairlab.data.formats.table_headers import Header
from fairlab.data.readers.scores.bfw import folders, truth, whole_numbers
from fairlab.data.readers.scores.scored_pairs import Both, Claims, ScoreTable, checked
from fairlab.errors import Damaged
from fairlab.reading.column_names import meanings


def is_pair_table(header: Header) -> bool:
    """Does a header name scores, who or which images are compared, and groups?"""
    known = meanings(header.names)
    scored, compared = {"score", "distance"} & set(known), {"id1", "img1"} & set(known)
    return bool(scored and compared and {"group", "group1"} & set(known) and {"label", "id1"} & set(known))


def read_pair_table(path: Path, header: Header, attribute: str = "") -> ScoreTable:
    """Read such a table. attribute: the column that gives the groups, or X of X1 and X2. Raises FairLabError, Damaged."""
    known = meanings(header.names)
    groups = _groups(path, header, known, attribute)
    score = known.get("score") or known["distance"]
    people = [known[side] for side in ("id1", "id2") if side in known]
    images = [known[side] for side in ("img1", "img2") if side in known]
    others = [known[what] for what in ("label", "fold") if what in known]
    text = list(dict.fromkeys([*people, *images, *groups, *others]))
    table = ColumnTable(path, header, [*text, score], text)
    scores = table.numbers(score)
    if scores is None:
        raise Damaged(f"{path}: the column {score!r} holds no numbers")
    notes: list[str] = []
    group = [table.ids(name) for name in groups]
    identity = [table.ids(name) for name in people] or [folders(table, table.texts(name)) for name in images]
    identity = _per_group(identity, group, notes)
    names = [table.texts(name) for name in images]
    if names and people and all(value.isdigit() for side in names for value in side.values):  # numbered for each person
        names = [_joined(who, name) for who, name in zip(identity, names, strict=True)]
    if not names:
        sides = ("first", "second")
        names = [
            Texts(who.codes, [f"{value} ({side})" for value in who.values])
            for who, side in zip(identity, sides, strict=True)
        ]
        notes.append(
            "the table names people, not images: each person gets a first and a second image, and repeated "
            "comparisons of two people count as different images"
        )
    both = Both.of(*identity)
    claims = Claims(
        "pairs",
        attribute or groups[0].rstrip("12").removesuffix("_a"),
        Both.of(*names),
        both,
        Both.of(*group),
        truth(table, known["label"]) if "label" in known else both.same(),
        whole_numbers(table, known["fold"]) if "fold" in known else None,
        {score: scores},
        named=bool(images),
        notes=notes,
    )
    return checked(table, claims)


def _groups(path: Path, header: Header, known: dict[str, str], attribute: str) -> list[str]:
    """The columns with the groups of the two images. Raises Damaged for an attribute that is not there."""
    if not attribute:
        return [known["group"]] * 2 if "group" in known else [known["group1"], known["group2"]]
    by_name = {name.lower(): name for name in reversed(header.names)}
    for pair in ((attribute, attribute), (f"{attribute}1", f"{attribute}2"), (f"{attribute}_a", f"{attribute}_b")):
        if all(name.lower() in by_name for name in pair):
            return [by_name[name.lower()] for name in pair]
    raise Damaged(
        f"{path} has no column {attribute!r}, nor {attribute}1 and {attribute}2; it has: {', '.join(header.names)[:200]}"
    )


def _joined(one: Texts, other: Texts) -> Texts:
    """one/other of every row, as one column; "" where either is empty."""
    pairs, codes = np.unique(np.stack([one.codes, other.codes], axis=1), axis=0, return_inverse=True)
    return Texts.joined(
        codes.reshape(-1),
        [f"{one.values[a]}/{other.values[b]}" if one.values[a] and other.values[b] else "" for a, b in pairs],
    )


def _per_group(identity: list[Texts], group: list[Texts], notes: list[str]) -> list[Texts]:
    """Identities with their group before them where most stand in several groups: they are then numbered anew in each."""
    both, where = Both.of(*identity), Both.of(*group)
    seen = np.unique(np.stack([both.codes, where.codes], axis=1), axis=0)
    people, groups_of = np.unique(seen[:, 0], return_counts=True)
    if (groups_of > 1).sum() <= len(people) / 2:
        return identity
    notes.append("most identities are in several groups: they are assumed to be numbered separately in each group")
    return [_joined(of, who) for of, who in zip(group, identity, strict=True)]
