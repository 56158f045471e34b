"""Scored pairs from another tool, checked: what a file says of each row's two images, as images, pairs and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from fairlab.data.attributes import UNKNOWN
from fairlab.data.folds import spread_folds
from fairlab.data.formats.column_tables import ColumnTable, Texts
from fairlab.data.listing import SHOWN, Problem
from fairlab.errors import Damaged


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """A table of scored pairs written by another tool.

    images: a row per image name, in order of first appearance: identity, group, location (the name in the file),
    attribute.<name> for every further attribute. pairs: image_a, image_b (row numbers into images), genuine (bool),
    group, fold (0..k-1), in the order of the file. scores: model -> (P,) float64, higher = more alike. attribute: what
    the groups are values of. problems: what was left out or looks odd. notes: what else to know.
    """

    kind: str
    images: pd.DataFrame
    pairs: pd.DataFrame
    scores: dict[str, np.ndarray]
    attribute: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Both:
    """What is said of both images of each row: codes (2P,), the first image's before the second's, into `values`."""

    codes: np.ndarray
    values: list[str]

    @classmethod
    def of(cls, first: Texts, second: Texts) -> Both:
        """One column for each image of a row, as one."""
        index = {value: code for code, value in enumerate(first.values)}
        moved = np.array([index.setdefault(value, len(index)) for value in second.values], np.int64)
        codes = np.empty(2 * len(first.codes), np.int64)
        codes[::2], codes[1::2] = first.codes, moved[second.codes]
        return cls(codes, list(index))

    def kept(self, rows: np.ndarray) -> Both:
        """Of some rows (P,) bool only."""
        return Both(self.codes[np.repeat(rows, 2)], self.values)

    def same(self) -> np.ndarray:
        """(P,) is the same said of both images?"""
        same: np.ndarray = self.codes[::2] == self.codes[1::2]
        return same


@dataclass(frozen=True, eq=False)
class Claims:
    """What a table says, row by row, before it is checked.

    genuine (P,) bool; fold (P,) whole numbers, or None; scores: model -> (P,), NaN where there is none; named: are the
    names those of images (or only of people, who are then compared more than once)?
    """

    kind: str
    attribute: str
    name: Both
    identity: Both
    group: Both
    genuine: np.ndarray
    fold: np.ndarray | None
    scores: Mapping[str, np.ndarray]
    further: Mapping[str, Both] = field(default_factory=dict)
    named: bool = True
    notes: Sequence[str] = ()

    def kept(self, rows: np.ndarray) -> Claims:
        """The claims of some rows (P,) bool."""
        return replace(
            self,
            name=self.name.kept(rows),
            identity=self.identity.kept(rows),
            group=self.group.kept(rows),
            genuine=self.genuine[rows],
            fold=None if self.fold is None else self.fold[rows],
            scores={model: values[rows] for model, values in self.scores.items()},
            further={name: said.kept(rows) for name, said in self.further.items()},
        )


def checked(table: ColumnTable, claims: Claims) -> ScoreTable:
    """The claims of a table as images, pairs and scores.

    Left out and counted: pairs of somebody without an identity, pairs of two groups (FairLab compares within a group),
    pairs that a model has no score for. Raises Damaged, naming the lines, for an image without a name, one compared with
    itself, of two identities
    or two groups, for a pair that is genuine here and impostor there or whose identities say otherwise.
    """
    problems: list[Problem] = []
    if table.open_end:
        problems.append(
            Problem("the last line has no line break; was the file cut off?", 1, table.places([table.rows - 1]))
        )
    claims = _of_known_people(table, claims, problems)
    nameless = claims.name.codes == (claims.name.values.index("") if "" in claims.name.values else -1)
    if nameless.any():
        raise table.wrong(int(np.argmax(nameless)) // 2, "an image name is empty")
    image, appear = _by_appearance(claims.name.codes)
    _not_itself(table, claims, image)
    images = pd.DataFrame({"identity": _one_value(table, claims, image, appear, claims.identity, "identity")})
    images["group"] = _one_value(table, claims, image, appear, claims.group, claims.attribute)
    names = _take(claims.name, appear)
    images["location"] = names
    nowhere = np.flatnonzero(images["group"].to_numpy() == "")
    if len(nowhere):
        images.loc[nowhere, "group"] = UNKNOWN
        what = f"images without a value for {claims.attribute!r}, in group {UNKNOWN!r}"
        problems.append(Problem(what, len(nowhere), tuple(names[nowhere[:SHOWN]])))
    for name, said in claims.further.items():
        odd = said.codes != said.codes[appear][image]
        problems += _problem(table, f"values of {name!r} that differ from the image's first row, not used", _rows(odd))
        values = _take(said, appear)
        images[f"attribute.{name}"] = np.where(values == "", UNKNOWN, values)
    first, second = image[::2], image[1::2]
    key = np.minimum(first, second) * len(appear) + np.maximum(first, second)
    pair, pair_first = _by_appearance(key)
    _one_truth(table, claims, pair, pair_first)
    within = claims.group.same()
    _as_identities_say(table, claims, within)
    for truth, kind in ((False, "impostor"), (True, "genuine")):
        across = ~within & (claims.genuine == truth)
        problems += _problem(table, f"{kind} pairs of images in different groups, left out", across)
    kept = within.copy()
    for model, scores in claims.scores.items():
        missing = within & np.isnan(scores)
        problems += _problem(table, f"pairs without a score from {model!r} (failure to compute), left out", missing)
        kept &= ~missing
    if not kept.any():
        raise Damaged(f"{table.path} has no scored pair of two images in one group of {claims.attribute!r}")
    if claims.named:
        again = kept & (pair_first[pair] != np.arange(len(pair)))
        problems += _problem(table, "pairs that appear more than once, in either order; all are kept", again)
    notes = list(claims.notes)
    group = claims.group.codes[::2][kept]
    fold = _folds(claims, kept, group, notes)
    pairs = pd.DataFrame({"image_a": first[kept], "image_b": second[kept], "genuine": claims.genuine[kept]})
    pairs["group"] = images["group"].to_numpy()[pairs["image_a"]]
    pairs["fold"] = fold
    kept_scores = {model: values[kept] for model, values in claims.scores.items()}
    return ScoreTable(claims.kind, images, pairs, kept_scores, claims.attribute, tuple(problems), tuple(notes))


def _of_known_people(table: ColumnTable, claims: Claims, problems: list[Problem]) -> Claims:
    """Without the pairs of which an image has no identity. Raises Damaged when none is left."""
    if "" not in claims.identity.values:
        return claims
    nobody = _rows(claims.identity.codes == claims.identity.values.index(""))
    if not nobody.any():
        return claims
    problems += _problem(table, "pairs with an empty identity, left out", nobody)
    if nobody.all():
        raise Damaged(f"{table.path}: every pair has an empty identity; expected whose face each image shows")
    table.keep(~nobody)
    return claims.kept(~nobody)


def _by_appearance(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codes numbered by first appearance, the place where each first appears)."""
    numbers, found = pd.factorize(codes)
    places = np.full(len(found), len(codes))
    places[numbers[::-1]] = np.arange(len(codes))[::-1]  # of several writes to one place the last stays: the first row
    return numbers, places


def _rows(images: np.ndarray) -> np.ndarray:
    """(P,) of (2P,): is it so of either image?"""
    either: np.ndarray = images[::2] | images[1::2]
    return either


def _take(said: Both, at: np.ndarray) -> np.ndarray:
    taken: np.ndarray = np.array(said.values, dtype=object)[said.codes[at]]
    return taken


def _problem(table: ColumnTable, what: str, rows: np.ndarray) -> list[Problem]:
    """A problem of the rows (P,) bool, with the first places; none without rows."""
    count = int(rows.sum())
    return [Problem(what, count, table.places(np.flatnonzero(rows)[:SHOWN]))] if count else []


def _not_itself(table: ColumnTable, claims: Claims, image: np.ndarray) -> None:
    itself = image[::2] == image[1::2]
    if itself.any():
        row = int(np.argmax(itself))
        name = claims.name.values[claims.name.codes[2 * row]]
        raise table.wrong(
            row, f"the image {name!r} is compared with itself; leave such rows out (here {itself.sum():,})"
        )


def _one_value(
    table: ColumnTable, claims: Claims, image: np.ndarray, appear: np.ndarray, said: Both, what: str
) -> np.ndarray:
    """(N,) what is said of each image. Raises Damaged when a later row says otherwise."""
    odd = said.codes != said.codes[appear][image]
    if odd.any():
        at = int(np.argmax(odd))
        there = int(appear[image[at]])
        here, before = (said.values[said.codes[place]] for place in (at, there))
        name = claims.name.values[claims.name.codes[at]]
        where = table.places([there // 2])[0]
        raise table.wrong(at // 2, f"the image {name!r} has the {what} {here!r}, but {before!r} in {where}")
    return _take(said, appear)


def _one_truth(table: ColumnTable, claims: Claims, pair: np.ndarray, first: np.ndarray) -> None:
    odd = claims.genuine != claims.genuine[first][pair]
    if odd.any():
        row = int(np.argmax(odd))
        a, b = (claims.name.values[code] for code in claims.name.codes[2 * row : 2 * row + 2])
        kinds = ("genuine", "impostor") if claims.genuine[row] else ("impostor", "genuine")
        where = table.places([int(first[pair[row]])])[0]
        raise table.wrong(row, f"{a!r} and {b!r} are {kinds[0]} here, but {kinds[1]} in {where}")


def _as_identities_say(table: ColumnTable, claims: Claims, within: np.ndarray) -> None:
    lying = within & (claims.identity.same() != claims.genuine)
    if lying.any():
        row = int(np.argmax(lying))
        a, b = (claims.identity.values[code] for code in claims.identity.codes[2 * row : 2 * row + 2])
        kind = "genuine" if claims.genuine[row] else "impostor"
        raise table.wrong(row, f"the pair is called {kind}, but its identities are {a!r} and {b!r}")


def _folds(claims: Claims, kept: np.ndarray, group: np.ndarray, notes: list[str]) -> np.ndarray:
    """(kept pairs,) folds from 0. With fewer than two in the file a threshold would be judged on the pairs it is chosen on."""
    if claims.fold is not None:
        fold = np.unique(claims.fold[kept], return_inverse=True)[1].astype(np.int64)
        if fold.max() > 0:
            return fold
    first, second = (claims.identity.codes[side::2][kept] for side in (0, 1))
    fold = spread_folds(first, second, claims.identity.values, group, claims.genuine[kept])
    said = "no folds" if claims.fold is None else "only one fold"
    count = int(fold.max()) + 1
    if count > 1:
        notes.append(
            f"the table has {said}: its pairs were divided into {count} folds, evenly within each group; all "
            f"comparisons of the same two people share a fold"
        )
    else:
        notes.append(
            f"the table has {said} and too few people for more: accuracy uses a threshold chosen on the same pairs"
        )
    return fold
