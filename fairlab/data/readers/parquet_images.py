"""Images in parquet as Hugging Face's `datasets` writes them: a column of structs (bytes, path), and columns about them.

The names of labels stand in the schema's metadata (ClassLabel); a part is what a file's name begins with:
train-00000-of-00002.parquet. Nothing of it runs: neither the package `datasets` nor a script of a repository is used.
Pairs: `is_same` (CVLface's copies of the verification packs) joins rows 2i and 2i+1.
Source for the layout: the documentation of huggingface/datasets, Image and ClassLabel features.

An image is found by its file and row. Parquet is read by groups of rows, so the groups read last are kept; what a group
holds when it is unpacked is bounded, whatever the file declares.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairlab.data.attributes import MAX_VALUES, with_columns
from fairlab.data.formats.table_headers import plain_errors
from fairlab.data.listing import MAX_IMAGE_BYTES, READERS, Listing, Progress, Stop
from fairlab.data.names.parts import part_of, with_parts
from fairlab.data.names.patterns import by_template
from fairlab.data.readers.pair_lists import block_folds
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.reading.structured import parse_json
from fairlab.settings.study import Source

ENDINGS = (".parquet", ".pq")
IDENTITIES = ("identity", "identity_id", "person", "person_id", "subject", "subject_id", "name", "label", "id")
"""Columns that say who is shown, the first that is there."""
SAME = ("is_same", "issame")
GROUP_BYTES, KEPT, AT_ONCE = 512 << 20, 3, 128 << 20
"""Most bytes of a group of rows, how many groups a process keeps, and bytes read in one step."""
_PLAIN = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_floating)


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder and its folder data/, sorted."""
    if path.is_file():
        return [path] if path.name.lower().endswith(ENDINGS) else []
    folders = [folder for folder in (path, path / "data") if folder.is_dir()]
    found = [item for folder in folders for item in folder.iterdir() if item.name.lower().endswith(ENDINGS)]
    return sorted(item for item in found if item.is_file())


def image_column(schema: pa.Schema) -> str:
    """The first column of structs that hold bytes, `image` before others; "" when there is none."""
    names = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type)
        and field.type.get_field_index("bytes") >= 0
        and (
            pa.types.is_binary(field.type.field("bytes").type)
            or pa.types.is_large_binary(field.type.field("bytes").type)
        )
    ]
    return "image" if "image" in names else next(iter(names), "")


@READERS.register("parquet", title="Hugging Face image parquet (.parquet)", order=4, names=True)
class ParquetImages:
    """Identity by a column (its names by ClassLabel); every further column of words and numbers is an attribute."""

    def detect(self, path: Path) -> str:
        """Parquet whose schema has images."""
        try:
            files = parquet_files(path)
            with pa.OSFile(os.fspath(files[0]), "rb") as handle:
                column = image_column(pq.read_schema(handle))
        except (IndexError, OSError, ValueError, pa.ArrowException):
            return ""
        return f"{files[0].name} with images in the column {column}" if column else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of files and rows."""
        files = parquet_files(path)
        if not files:
            raise FairLabError(f"{path} is not a parquet file and contains none (.parquet files)")
        if source.pair_list:
            raise FairLabError("lists of pairs name files, but images in parquet are rows: leave pair_list empty")
        tables, before = [], ""
        for number, file in enumerate(files):
            table, column = _facts(file, path, stop)
            if before and column != before:
                raise Damaged(
                    f"{file} has its images in the column {column!r}, the other files have them in {before!r}"
                )
            before = column
            tables.append(table)
            progress(number + 1, len(files))
        images = pd.concat(tables, ignore_index=True)
        if "split" in images and images["split"].isna().any():
            images = images.drop(columns="split")
        images = images.fillna("")
        if images.empty:
            raise FairLabError(f"{path} has no rows")
        images, pairs, notes = _people(path, images, source)
        images, dropped = _few_values(images)
        notes += dropped
        images = with_parts(images) if "split" not in images else images
        images, attribute, found = with_columns(images, source)
        if pairs is not None:
            pairs["group"] = images["group"].to_numpy(dtype=object)[pairs["image_a"]]
        said = [f"{len(files):,} parquet files, e.g. {files[0].name}, images in the column {before}", *notes]
        return Listing(images, attribute, pairs, None, found, said)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are file:row; groups of rows are read whole and the last few kept."""
        folder = path if path.is_dir() else path.parent
        groups = _Groups(folder)

        def read(row: int) -> bytes:
            name, _, number = locations[row].rpartition(":")
            return groups.image(name, int(number))

        return read


class _Groups:
    """Images of the groups of rows that were read last, in each process for itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._kept: OrderedDict[tuple[str, int], list[bytes | None]] = OrderedDict()
        self._starts: dict[str, np.ndarray] = {}

    def image(self, name: str, row: int) -> bytes:
        """The encoded image of a row. Raises Damaged."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            path = self.folder / name
            if name not in self._starts:
                with plain_errors(path, "a parquet file"), pq.ParquetFile(path, pre_buffer=False) as file:
                    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
                self._starts[name] = np.cumsum([0, *sizes])
            starts = self._starts[name]
            group = int(np.searchsorted(starts, row, side="right")) - 1
            if not 0 <= group < len(starts) - 1:
                raise Damaged(f"{path} no longer has row {row}")
            if (name, group) not in self._kept:
                while len(self._kept) >= KEPT:
                    self._kept.popitem(last=False)
                self._kept[name, group] = _images(path, group)
            self._kept.move_to_end((name, group))
            kept = self._kept[name, group]
            content = kept[row - int(starts[group])] if row - int(starts[group]) < len(kept) else None
        if content is None:
            raise Damaged(f"{path} has no image in row {row}")
        if len(content) > MAX_IMAGE_BYTES:
            raise Damaged(f"{path} has {len(content):,} bytes in row {row}; the limit is {MAX_IMAGE_BYTES:,}")
        return content


def _images(path: Path, group: int) -> list[bytes | None]:
    """The bytes of all images of a group of rows. Raises Damaged, also for a group that unpacks to too much."""
    found: list[bytes | None] = []
    total = 0
    with plain_errors(path, "a parquet file"), pq.ParquetFile(path, pre_buffer=False) as file:
        column = image_column(file.schema_arrow)
        if not column:
            raise Damaged(f"{path} no longer has a column of images")
        facts = file.metadata.row_group(group)
        sizes = [facts.column(place).total_uncompressed_size for place in range(facts.num_columns)]
        step = max(1, min(64, AT_ONCE // max(1, *sizes)))  # one value may be as large as all that is packed
        if max(sizes) > GROUP_BYTES:
            raise _too_large(path, group)
        for batch in file.iter_batches(step, row_groups=[group], columns=[f"{column}.bytes"], use_threads=False):
            images = batch.column(0).field("bytes")
            total += images.nbytes
            if total > GROUP_BYTES:
                raise _too_large(path, group)
            valid = batch.column(0).is_valid().to_pylist()
            found += [image if there else None for image, there in zip(images.to_pylist(), valid, strict=True)]
    return found


def _too_large(path: Path, group: int) -> Damaged:
    return Damaged(
        f"{path} has a row group (number {group}) with more than {GROUP_BYTES:,} bytes of images; write it again with "
        f"row_group_size=100"
    )


def _facts(file: Path, path: Path, stop: Stop) -> tuple[pd.DataFrame, str]:
    """(location, file, split, attribute.<column> of every row as text; the column of images)."""
    with plain_errors(file, "a parquet file"), pq.ParquetFile(file, pre_buffer=False) as opened:
        schema = opened.schema_arrow
        column = image_column(schema)
        if not column:
            raise FairLabError(
                f"{file} has no column of images (a struct with bytes); it has: {', '.join(schema.names)}"
            )
        words = _labels(schema)
        plain = [field.name for field in schema if any(test(field.type) for test in _PLAIN)]
        inner = schema.field(column).type
        paths = [f"{column}.path"] if inner.get_field_index("path") >= 0 else []
        parts, beat, rows = [], time.monotonic(), 0
        for batch in opened.iter_batches(4096, columns=[*plain, *paths], use_threads=False):
            if time.monotonic() > beat + 0.25:
                beat = time.monotonic()
                if stop():
                    raise Stopped
            texts = {f"attribute.{name}": _texts(batch.column(name), words.get(name)) for name in plain}
            rows += batch.num_rows
            part = pd.DataFrame(texts, dtype=object, index=range(batch.num_rows))
            if paths:
                part["file"] = _texts(batch.column(column).field("path"), None)
            parts.append(part)
        count = opened.metadata.num_rows
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(index=range(count))
    name = file.relative_to(path if path.is_dir() else path.parent).as_posix()
    table.insert(0, "location", [f"{name}:{row}" for row in range(len(table))])
    part = part_of(re.split(r"-\d{5}-of-", file.stem)[0], alone=True)
    if part:
        table["split"] = part
    return table, column


def _texts(values: pa.Array, names: Sequence[str] | None) -> list[str]:
    """A column as text; numbers of a ClassLabel as their names, nothing as ""."""

    def text(value: Any) -> str:
        if value is None or value != value:
            return ""
        if names is not None and isinstance(value, int):
            return names[value] if 0 <= value < len(names) else ""
        return str(value).strip() if not isinstance(value, bool) else str(value).lower()

    return [text(value) for value in values.to_pylist()]


def _labels(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """Column -> names of its numbers, as the metadata of `datasets` have them; {} when there are none."""
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        features = parse_json(raw, "the metadata")["info"]["features"]
        items: Mapping[str, Any] = features if isinstance(features, dict) else {}
        labels = {
            name: value["names"]
            for name, value in items.items()
            if isinstance(value, dict) and isinstance(value.get("names"), list)
        }
    except (Damaged, KeyError, TypeError):
        return {}
    return {name: names for name, names in labels.items() if all(isinstance(item, str) for item in names)}


def _people(path: Path, images: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, pd.DataFrame | None, list[str]]:
    """`images` with identities, pairs where rows are pairs, notes. Raises FairLabError when no column says who is shown."""
    by_name = {str(name).removeprefix("attribute.").lower(): str(name) for name in images}
    files = images.pop("file") if "file" in images else pd.Series("", index=images.index, dtype=object)
    same = next((by_name[name] for name in SAME if name in by_name), "")
    if same:
        return _paired(path, images, same)
    if source.identity_pattern:
        told = by_template(source.identity_pattern, files.tolist())
        if not told.says_identity:
            raise FairLabError(f"identity_pattern {source.identity_pattern!r} has no {{identity}}")
        fields = told.fields[told.fields["fits"]]
        further = fields.columns.difference(["identity", "fits"], sort=False)
        images = images.loc[fields.index].assign(
            identity=fields["identity"], **{f"attribute.{name}": fields[name] for name in further}
        )
        return images.reset_index(drop=True), None, [told.how]
    column = next((by_name[name] for name in IDENTITIES if name in by_name and by_name[name] != "location"), "")
    if not column:
        names = ", ".join(name.removeprefix("attribute.") for name in map(str, images) if name.startswith("attribute."))
        raise FairLabError(
            f"{path} has no identity column ({', '.join(IDENTITIES)}); it has: {names or 'images only'}; "
            "rename one, or give identity_pattern for the paths of its images"
        )
    known = (images[column] != "").to_numpy(bool)
    images = images.rename(columns={column: "identity"})[known].reset_index(drop=True)
    if images.empty:
        raise FairLabError(f"{path} has no row with an identity in the column {column.removeprefix('attribute.')}")
    notes = [f"identities from the column {column.removeprefix('attribute.')}"]
    notes += [f"rows without an identity, left out: {int((~known).sum()):,}"] if not known.all() else []
    return images, None, notes


def _paired(path: Path, images: pd.DataFrame, same: str) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Rows 2i and 2i+1 are a pair; one person is what genuine pairs hold together."""
    flags = (
        images[same].str.lower().map({"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False})
    )
    if flags.isna().any() or len(flags) % 2 or (flags[::2].to_numpy() != flags[1::2].to_numpy()).any():
        raise Damaged(f"{path}: expected pairs of rows with the same {same.removeprefix('attribute.')}, true or false")
    genuine = flags[::2].to_numpy(bool)
    first = 2 * np.arange(len(genuine))
    shape = (len(images), len(images))
    joined = coo_array((np.ones(int(genuine.sum())), (first[genuine], first[genuine] + 1)), shape=shape)
    person = connected_components(joined, directed=False)[1]
    drop = [name for name in map(str, images) if name.removeprefix("attribute.").lower() in (*SAME, "index")]
    images = images.drop(columns=drop).assign(identity=[f"person {number}" for number in person])
    pairs = pd.DataFrame(
        {"image_a": first, "image_b": first + 1, "genuine": genuine, "fold": block_folds(len(genuine))}
    )
    return images, pairs, ["rows are pairs, by is_same: people are inferred from genuine pairs"]


def _few_values(images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without the columns that have a value of their own for nearly every image."""
    many = [name for name in map(str, images) if name.startswith("attribute.") and images[name].nunique() > MAX_VALUES]
    names = ", ".join(name.removeprefix("attribute.") for name in many)
    notes = [f"columns with more than {MAX_VALUES:,} values are not used as attributes: {names}"] if many else []
    return images.drop(columns=many), notes
