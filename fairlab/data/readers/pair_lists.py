"""Lists of pairs, as RFW, LFW, CPLFW, CALFW, CFP, AgeDB, FRCSyn and other people write them, as one table.

Whatever the format, the result is one table in which an image is named by its path below the folder of images,
written with "/": `id/id_0001.jpg` where the list holds names and numbers (RFW, LFW), otherwise as listed. What would make
an evaluation wrong is an error that names file and line; what is only odd is a problem beside the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.text_lists import Row, fields_of, image_path, is_number, number_in, read_rows, trimmed, wrong
from fairlab.data.readers.protocols import Found, agedb_pairs, cfp_pairs, is_cfp
from fairlab.errors import Damaged, FairLabError
from fairlab.tables import BOOL, MAYBE, MAYBE_WHOLE, TEXT, WHOLE, Table

KINDS = ("rfw", "lfw", "kaggle", "cplfw", "calfw", "labelled", "frcsyn", "csv", "cfp", "agedb")
"""What `read_pairs` reads. rfw: `id n1 n2` or `id1 n1 id2 n2`. lfw: the same below a line `folds pairs` or `pairs`.
kaggle: the same below a header `name,imagenum1,imagenum2`, impostor pairs perhaps in another file. cplfw, calfw: two lines `image label` per pair. labelled: `image_a image_b 0|1`. frcsyn: `image_a;image_b`.
csv: a header that names image_a, image_b, genuine and, perhaps, fold. cfp: a folder, agedb: a .mat, see `protocols`."""

PAIR_LIST = Table(image_a=TEXT, image_b=TEXT, genuine=MAYBE, fold=MAYBE_WHOLE, line=WHOLE)
FOLDS = 10
_RFW_PAIRS = 6000  # lines of each of RFW's four lists: ten folds of 300 genuine, then 300 impostor pairs
_KAGGLE = ["name", "imagenum1"]  # the third column is imagenum2 or, in lists of impostor pairs, the other name
# AgeDB writes -1 for impostor pairs.
_TRUTH = {"1": True, "true": True, "genuine": True, "0": False, "-1": False, "false": False, "impostor": False}


@dataclass(frozen=True, eq=False)
class PairList:
    """The pairs of a list.

    pairs: image_a, image_b (text, relative paths), genuine (bool; pandas "boolean" of NA when the list does not
    tell), fold (int64, from 0), line (int64, from 1; of a pair's first line; cfp and agedb, which have no lines, number
    their pairs), in the order of the folds. kind: one of KINDS. separator: "\\t", ";", "," or " " (any white space), ""
    of what is no list of lines. problems: sentences about what is odd.
    """

    path: Path
    kind: str
    separator: str
    pairs: pd.DataFrame
    problems: tuple[str, ...]


def read_pairs(
    path: Path, *, kind: str | None = None, suffix: str = ".jpg", identity_from_folder: bool = False
) -> PairList:
    """Read a list of pairs; `kind` (one of KINDS) is seen from the first lines when not given.

    `suffix`: of the images of rfw, lfw, kaggle, cfp and agedb lists, which do not name files. `identity_from_folder`: in an frcsyn
    list, two images are of one identity exactly when they lie in one folder; without it such a list does not tell
    genuine from impostor. Folds are those of the list where it has them. Else they are ten contiguous blocks as
    even as can be, the longer first (as sklearn's KFold has them): of the lines in rfw, labelled, frcsyn and csv
    lists; in cplfw and calfw lists, which have all genuine pairs before all impostor ones, of either.
    Raises FairLabError for an unknown kind or a file that cannot be read, Damaged for a line that is wrong.
    """
    if kind is not None and kind not in KINDS:
        raise FairLabError(f"unknown kind of pair list {kind!r}; the kinds are {', '.join(KINDS)}")
    kind = kind or ("agedb" if path.suffix.lower() == ".mat" else "cfp" if is_cfp(path) else None)
    separator, rows = read_rows(path) if kind not in ("agedb", "cfp") else ("", [])
    kind = kind or _sniff(path, rows)
    problems: list[str] = []
    readers: dict[str, Callable[[], Iterator[Found]]] = {
        "rfw": lambda: _numbered(path, rows, suffix),
        "lfw": lambda: _lfw(path, rows, suffix, problems),
        "kaggle": lambda: _kaggle(path, rows, suffix, problems),
        "cplfw": lambda: _two_lines(path, rows, 1),
        "calfw": lambda: _two_lines(path, rows, FOLDS),
        "labelled": lambda: _labelled(path, rows),
        "frcsyn": lambda: _unlabelled(path, rows, identity_from_folder),
        "csv": lambda: _headed(path, rows),
        "cfp": lambda: cfp_pairs(path, suffix),
        "agedb": lambda: agedb_pairs(path, suffix),
    }
    pairs = list(readers[kind]())
    if not pairs:
        raise Damaged(f"{path} holds no pairs; expected a list of kind {', '.join(KINDS)}")
    problems += _check(path, pairs)
    table = PAIR_LIST.build(pairs)
    if table["genuine"].isna().any():
        problems.append(
            "the list does not distinguish genuine from impostor pairs; is every image folder one identity?"
        )
    else:
        table["genuine"] = table["genuine"].astype(BOOL)
    if table["fold"].isna().any():
        halves = kind in ("cplfw", "calfw") or (kind == "kaggle" and _twin(path) is not None)
        table["fold"] = _halves(table["genuine"]) if halves else block_folds(len(table))
    table["fold"] = np.unique(table["fold"].to_numpy(np.int64), return_inverse=True)[1].astype(np.int64)
    table = table.sort_values("fold", kind="stable", ignore_index=True)
    problems += _fold_problems(table, kind)
    return PairList(path, kind, separator, table, tuple(problems))


def _sniff(path: Path, rows: list[Row]) -> str:
    """The kind of a list, from its first lines; calfw differs from cplfw in labels above 1 anywhere."""
    first, last = trimmed(rows[0][1]), trimmed(rows[min(1, len(rows) - 1)][1])
    if {"image_a", "image_b"} <= {field.lower() for field in first}:
        return "csv"
    if [field.lower() for field in first[:2]] == _KAGGLE:
        return "kaggle"
    if len(first) <= 2 and all(map(is_number, first)) and len(last) in (3, 4):
        return "lfw"
    if len(first) == 3 and is_number(first[1]) and is_number(first[2]):
        return "rfw"
    if len(first) == 4 and is_number(first[1]) and is_number(first[3]):
        return "rfw"
    if len(first) == 3 and first[2].lower() in _TRUTH:
        return "labelled"
    if len(first) == 2 and is_number(first[1]):
        return "calfw" if any(len(row) == 2 and row[1] not in ("0", "1") for _, row in rows) else "cplfw"
    if len(first) == 2:
        return "frcsyn"
    raise wrong(path, rows[0][0], f"{len(first)} fields match no known kind of list; the kinds are {', '.join(KINDS)}")


def _truth(path: Path, line: int, field: str) -> bool:
    if field.lower() not in _TRUTH:
        raise wrong(path, line, f"{field[:40]!r} is neither 1 (genuine) nor 0 (impostor)")
    return _TRUTH[field.lower()]


def _numbered(path: Path, rows: list[Row], suffix: str) -> Iterator[Found]:
    """rfw, and lfw below its header. Source: LFW's README; RFW's lists."""
    for row in rows:
        line, fields = row[0], fields_of(path, row, 3, 4)
        same = len(fields) == 3
        a, b = fields[0], fields[0] if same else fields[2]
        if not same and a == b:
            raise wrong(path, line, f"four fields mean an impostor pair, but both images are of {a!r}")
        first, second = (number_in(path, line, fields[place]) for place in (1, 2 if same else 3))
        yield (
            image_path(path, line, f"{a}/{a}_{first:04d}{suffix}"),
            image_path(path, line, f"{b}/{b}_{second:04d}{suffix}"),
            same,
            None,
            line,
        )


def _lfw(path: Path, rows: list[Row], suffix: str, problems: list[str]) -> Iterator[Found]:
    """A header `folds pairs` or `pairs`; in every fold so many genuine, then so many impostor pairs."""
    line, header = rows[0][0], fields_of(path, rows[0], 1, 2)
    *folds, each = (number_in(path, line, field) for field in header)
    folds = folds or [1]
    if 2 * folds[0] * each != len(rows) - 1 or each == 0:
        said = f"{folds[0]} folds of {each} genuine and {each} impostor pairs"
        raise wrong(path, line, f"the header says {said}, but {len(rows) - 1} lines follow")
    strange = 0
    for place, pair in enumerate(_numbered(path, rows[1:], suffix)):
        strange += pair[2] != (place // each % 2 == 0)
        yield *pair[:3], place // (2 * each), pair[4]
    if strange:
        problems.append(f"{strange} pairs are not where an LFW list has its genuine or impostor pairs")


def _twin(path: Path) -> Path | None:
    """matchpairsDevTest.csv holds genuine pairs, mismatchpairsDevTest.csv beside it impostor ones; the other one."""
    name = path.name
    other = (
        name.removeprefix("mis") if name.startswith("mismatch") else f"mis{name}" if name.startswith("match") else ""
    )
    return path.parent / other if other and (path.parent / other).is_file() else None


def _kaggle(path: Path, rows: list[Row], suffix: str, problems: list[str]) -> Iterator[Found]:
    """LFW's lists as tables; a header `name,imagenum1,imagenum2` and a column more where there are impostor pairs."""
    twin = _twin(path)
    parts = [(path, rows)]
    if twin:
        parts.insert(0 if path.name.startswith("mis") else 1, (twin, read_rows(twin)[1]))
        problems.append(f"{path.name} was read together with {twin.name}; line numbers refer to each pair's own file")
    for file, lines in parts:
        if [field.lower() for field in lines[0][1][:2]] != _KAGGLE:
            raise wrong(file, lines[0][0], f"expected a header that begins with {','.join(_KAGGLE)}")
        yield from _numbered(file, lines[1:], suffix)


def _two_lines(path: Path, rows: list[Row], largest: int) -> Iterator[Found]:
    """cplfw (1: genuine, 0: impostor) and calfw (the number of the genuine pair's fold, or 0); both lines tell."""
    if len(rows) % 2:
        raise wrong(path, rows[-1][0], "this line has no partner; every pair takes two lines")
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        (a, label_a), (b, label_b) = fields_of(path, first, 2), fields_of(path, second, 2)
        same = []
        for row, label in ((first, label_a), (second, label_b)):
            if number_in(path, row[0], label) > largest:
                raise wrong(path, row[0], f"label {label}, expected 0 to {largest}")
            same.append(int(label) != 0)
        if same[0] != same[1]:
            raise wrong(path, second[0], f"label {label_b}, but {label_a} in the pair's first line {first[0]}")
        yield image_path(path, first[0], a), image_path(path, second[0], b), same[0], None, first[0]


def _labelled(path: Path, rows: list[Row]) -> Iterator[Found]:
    for row in rows:
        line, (a, b, truth) = row[0], fields_of(path, row, 3)
        yield image_path(path, line, a), image_path(path, line, b), _truth(path, line, truth), None, line


def _unlabelled(path: Path, rows: list[Row], identity_from_folder: bool) -> Iterator[Found]:
    for row in rows:
        line, (a, b) = row[0], (image_path(path, row[0], field) for field in fields_of(path, row, 2))
        if identity_from_folder and not ("/" in a and "/" in b):
            raise wrong(path, line, "an image without a folder has no identity")
        yield a, b, a.rpartition("/")[0] == b.rpartition("/")[0] if identity_from_folder else None, None, line


def _headed(path: Path, rows: list[Row]) -> Iterator[Found]:
    """csv: the columns may stand in any order, and others beside them."""
    header = [field.lower() for field in rows[0][1]]
    for name in PAIR_LIST[:3]:
        if header.count(name) != 1:
            raise wrong(
                path, rows[0][0], f"the header names the column {name!r} {header.count(name)} times, expected once"
            )
    places = [header.index(name) for name in PAIR_LIST[:3]]
    fold = header.index("fold") if "fold" in header else None
    for line, fields in rows[1:]:
        if len(fields) != len(header):
            raise wrong(path, line, f"{len(fields)} fields, expected {len(header)} as in the header")
        a, b, truth = (fields[place] for place in places)
        number = None if fold is None else number_in(path, line, fields[fold])
        yield image_path(path, line, a), image_path(path, line, b), _truth(path, line, truth), number, line


def _check(path: Path, pairs: list[Found]) -> list[str]:
    """Problems; raises Damaged for an image paired with itself and for a pair both genuine and impostor."""
    seen: dict[tuple[str, str], tuple[bool | None, int]] = {}
    twice = 0
    for a, b, genuine, _, line in pairs:
        if a == b:
            raise wrong(path, line, f"the image {a!r} is paired with itself")
        key = (a, b) if a < b else (b, a)
        if key not in seen:
            seen[key] = genuine, line
            continue
        if seen[key][0] != genuine:
            raise wrong(
                path, line, f"{a!r} and {b!r} are genuine here, but impostor elsewhere: see line {seen[key][1]}"
            )
        twice += 1
    return [f"{twice} pairs appear more than once, in either order; all are kept"] if twice else []


def block_folds(count: int) -> np.ndarray:
    """(count,) folds: ten contiguous blocks, as many as there are pairs if fewer, the longer ones first."""
    folds = max(1, min(FOLDS, count))
    sizes = np.full(folds, count // folds)
    sizes[: count % folds] += 1
    return np.repeat(np.arange(folds, dtype=np.int64), sizes)


def _halves(genuine: pd.Series) -> np.ndarray:
    """(N,) folds in which the genuine pairs are divided in their order, and the impostor pairs in theirs."""
    folds = np.zeros(len(genuine), np.int64)
    for value in (True, False):
        folds[genuine == value] = block_folds(int((genuine == value).sum()))
    return folds


def _fold_problems(table: pd.DataFrame, kind: str) -> list[str]:
    problems = []
    sizes = table.groupby("fold").size()
    if len(sizes) != FOLDS:
        problems.append(f"the list has {len(sizes)} folds, not {FOLDS}")
    if sizes.min() != sizes.max():
        problems.append(f"the folds have {sizes.min()} to {sizes.max()} pairs")
    if not table["genuine"].isna().any():
        shares = table["genuine"].groupby(table["fold"]).mean()
        single = int(((shares == 0) | (shares == 1)).sum())
        if single:
            problems.append(f"{single} folds hold only genuine or only impostor pairs; is the list sorted?")
        elif kind == "rfw" and len(table) == _RFW_PAIRS:
            expected = np.arange(_RFW_PAIRS) // 300 % 2 == 0
            strange = int((table["genuine"].to_numpy() != expected).sum())
            if strange:
                problems.append(f"{strange} pairs are not where RFW's lists have their genuine or impostor pairs")
    return problems
