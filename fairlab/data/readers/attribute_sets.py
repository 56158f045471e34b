"""Images with a table of attributes beside them, e.g. FairFace (Karkkainen and Joo, WACV 2021): a row names an image, and
every further column says something of it.

FairFace: fairface_label_train.csv and fairface_label_val.csv with file,age,gender,race,service_test; other tables of the
kind begin with img_path or face_name_align. Whose face it is they do not say, unless a column is named `identity`.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fairlab.data.attributes import MAX_VALUES, headed_rows, mend_ranges, once, with_columns
from fairlab.data.formats.text_lists import Row, image_path, wrong
from fairlab.data.listing import PICTURES, READERS, Listing, Problem, Progress, Stop, problem
from fairlab.data.names.arranging import arrange
from fairlab.data.names.parts import part_of, with_parts
from fairlab.data.readers.folders import people_in_folders, read_below
from fairlab.data.readers.pair_files import pairs_from_list
from fairlab.data.walking import Links, Pace, folders_below
from fairlab.errors import Damaged, FairLabError
from fairlab.reading.table_text import encoding_of
from fairlab.settings.study import Source
from fairlab.tables import ANY, Table

ENDINGS = (".csv", ".tsv")
FAIRFACE = ("fairface_label_train.csv", "fairface_label_val.csv")
COLUMNS = ("img_path", "face_name_align")
"""First columns that only tables of this kind have."""
IDENTITY, SPLIT = "identity", "split"
RACES = {"race", "gender", "age"}
_HEAD_BYTES, _TRIED = 1 << 16, 20


@dataclass(frozen=True)
class _Table:
    """One file: its columns, its rows, and the folder that the images' names start from."""

    path: Path
    columns: list[str]
    rows: list[Row]
    base: Path
    mended: list[Problem]


def tables_at(path: Path) -> list[Path]:
    """The table itself; of a folder, FairFace's, else its only table whose first column names images that exist, or
    those of several parts (labels_train.csv, labels_val.csv)."""
    if path.is_file():
        return [path] if path.name.lower().endswith(ENDINGS) else []
    usual = [path / name for name in FAIRFACE if (path / name).is_file()]
    if usual:
        return usual
    found = sorted(item for item in path.glob("*") if item.name.lower().endswith(ENDINGS) and item.is_file())
    found = [item for item in found if _first_names(item)[1]]
    parts = {part_of(item.stem) for item in found}
    return found if len(found) == 1 or ("" not in parts and len(parts) == len(found)) else []


def _first_names(path: Path) -> tuple[list[str], Path | None]:
    """(columns, the folder that the first image's name starts from) of the first lines; ([], None) for another file.

    In any encoding: what cannot be read as a table later is an error then.
    """
    try:
        with open(path, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
    except OSError:
        return [], None
    try:
        lines = codecs.getincrementaldecoder(encoding_of(head))().decode(head).splitlines()
    except ValueError:
        lines = head.decode("latin-1").splitlines()
    header = lines[0] if lines else ""
    mark = next((mark for mark in "\t;," if mark in header), None)
    if mark is None or len(lines) < 2:
        return [], None
    columns = [field.strip().strip('"') for field in header.split(mark)]
    names = [line.split(mark)[0].strip().strip('"') for line in lines[1 : 1 + _TRIED]]
    if "image_b" in columns or columns[0].lower().endswith(PICTURES):  # a list of pairs
        return columns, None
    return columns, _base_of(path.parent, names)


def _base_of(folder: Path, names: Sequence[str]) -> Path | None:
    """`folder`, or one in it, below which some of `names` exist."""
    safe = [
        name for name in names if name.lower().endswith(PICTURES) and ".." not in name and not Path(name).is_absolute()
    ]
    try:
        below = sorted(item for item in folder.iterdir() if item.is_dir())
        return next((base for base in (folder, *below) if any((base / name).is_file() for name in safe)), None)
    except (OSError, ValueError):
        return None


@READERS.register("attributes", title="images with a table of attributes, e.g. FairFace (.csv)", order=50)
class AttributeSets:
    """A row of a table is an image; `attribute` chooses the column that gives the groups."""

    def detect(self, path: Path) -> str:
        """A table that names images, unless the images lie in folders of identities, which then say more."""
        files = tables_at(path)
        if not files:
            return ""
        columns, base = _first_names(files[0])
        if base is None and not {file.name for file in files} & {*FAIRFACE}:
            return ""
        columns = columns or [""]
        sure = path.is_file() or files[0].name in FAIRFACE or columns[0] in COLUMNS or IDENTITY in columns
        if not (sure or set(columns) >= RACES or not people_in_folders(path)):
            return ""
        more = f" with {', '.join(columns[1:6])}" if columns[1:] else ""
        return f"{' and '.join(file.name for file in files)}{more}"

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of the tables."""
        files = tables_at(path)
        if not files:
            raise FairLabError(
                f"{path} is not a table whose first column names the images next to it, and does not contain exactly "
                f"one such table (.csv)"
            )
        root = path if path.is_dir() else path.parent
        tables = [_read(file) for file in files]
        links = Links()
        there = set(_pictures(root, Pace(progress, stop), links))
        problems = [problem for table in tables for problem in table.mended]
        parts = [_images(table, root, there, len(tables) > 1, problems) for table in tables]
        images = _in_parts(pd.concat(parts, ignore_index=True).fillna(""))
        if images.empty:
            raise FairLabError(f"{files[0]} names no existing image, for example not {tables[0].rows[0][1][0]!r}")
        doubled = images["location"].duplicated()
        if doubled.any():
            raise FairLabError(f"{' and '.join(map(str, files))} both name {images['location'][doubled].iloc[0]!r}")
        problems += problem("images without a row, left out", sorted(there - set(images["location"])))
        known = f"attribute.{IDENTITY}" in images
        notes = [f"{' and '.join(file.name for file in files)} in {root}", *links.notes()]
        if known:
            images["identity"] = images.pop(f"attribute.{IDENTITY}")
            nobody = (images["identity"] == "").to_numpy(bool)
            problems += problem("images with an empty identity, left out", images["location"][nobody].tolist())
            images = images[~nobody].reset_index(drop=True)
        else:
            images["identity"] = images["location"].str.replace(
                "/", ":"
            )  # train/1.jpg and val/1.jpg are not one person
            notes.append(
                "the table names no people, so every image is its own identity: the set can be embedded and looked at, but"
                " no classifier can be trained on it and no two images are known to show one person"
            )
        images, dropped = _without_names(images)
        notes += dropped
        images, attribute, found = with_columns(images, source, ("race",), any_other=True)
        pairs = None
        if source.pair_list and not known:
            raise FairLabError(f"{files[0]} names no people, so the pairs of {source.pair_list} cannot be checked")
        if source.pair_list:
            pairs, more = pairs_from_list(root, images, source)
            return Listing(images, attribute, pairs, None, [*problems, *links.problems(), *found, *more], notes)
        return Listing(images, attribute, pairs, None, [*problems, *links.problems(), *found], notes)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below the folder of the table."""
        return read_below(path if path.is_dir() else path.parent, locations)


def _read(path: Path) -> _Table:
    """A table and where its images are. Raises FairLabError, Damaged."""
    columns, rows = headed_rows(path)
    if len(columns) < 2 or not rows:
        raise Damaged(f"{path} needs a column of images, one of an attribute, and a row for every image")
    base = _base_of(path.parent, [fields[0] for _, fields in rows[:_TRIED]])
    return _Table(path, columns, rows, base or path.parent, mend_ranges(path, columns, rows))


def _pictures(root: Path, pace: Pace, links: Links) -> Iterator[str]:
    for below, names in folders_below(root, pace, links):
        yield from (below + name for name in names if name.lower().endswith(PICTURES))


def _images(table: _Table, root: Path, there: set[str], several: bool, problems: list[Problem]) -> pd.DataFrame:
    """location and the attributes of every row whose image is there; what is not is added to `problems`."""
    rows, again = once(table.path, table.rows, 0)
    problems += problem(f"duplicate rows of {table.path.name}", again)
    start = table.base.relative_to(root).as_posix()
    names = [image_path(table.path, line, fields[0].removeprefix("./")) for line, fields in rows]
    places = names if start == "." else [f"{start}/{name}" for name in names]
    columns = [f"attribute.{name.lower() if name.lower() == IDENTITY else name}" for name in table.columns[1:]]
    doubled = next((name for name in columns if columns.count(name) > 1), "")
    if doubled:
        raise wrong(table.path, 1, "two columns give the identity")
    images = Table(**dict.fromkeys(columns, ANY)).build(fields[1:] for _, fields in rows)
    images.insert(0, "location", pd.Series(places, dtype=object))
    kept = images["location"].isin(there).to_numpy(bool)
    missing = images["location"][~kept].tolist()
    problems += problem(f"images named in {table.path.name} that do not exist, left out", missing)
    images = images[kept]
    if f"attribute.{SPLIT}" not in images and part_of(table.path.stem):
        images = images.assign(split=part_of(table.path.stem))
    elif several and f"attribute.{SPLIT}" not in images:
        images = images.assign(**{f"attribute.{SPLIT}": table.path.stem.rpartition("_")[2]})
    return images


def _in_parts(images: pd.DataFrame) -> pd.DataFrame:
    """`images` with the column `split` where all tables, a column, or the folders of all images say their part."""
    if "split" in images:
        if (images["split"] != "").all():
            return images
        images = images.drop(columns="split")
    images = with_parts(images)
    arrangement = arrange(images["location"].tolist()) if images["location"].str.count("/").nunique() == 1 else None
    if "split" not in images and arrangement is not None and arrangement.part is not None:
        images["split"] = images["location"].str.split("/").str[arrangement.part].map(part_of)
    return images


def _without_names(images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without the columns that have a value of their own for nearly every image."""
    named = [name for name in map(str, images) if name.startswith("attribute.") and images[name].nunique() > MAX_VALUES]
    said = f"columns with more than {MAX_VALUES:,} values are not used as attributes: "
    shown = ", ".join(name.removeprefix("attribute.") for name in named)
    return images.drop(columns=named), [said + shown] if named else []
