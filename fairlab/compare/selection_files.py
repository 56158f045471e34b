"""A saved selection as files of other tools: a table, vectors and map positions for embedding-atlas, a folder for FiftyOne.

parquet: one row per image. `embedding-atlas FILE --vector vector_RUN`, or `--x x_RUN --y y_RUN` with the positions of the
run's newest map (its command line takes vectors as lists and positions as two columns). fiftyone: data/<image>.png and
labels.json, read by fiftyone.types.FiftyOneImageClassificationDataset (its user guide, "FiftyOne Image Classification").
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from fairlab.data.dataset import Dataset
from fairlab.data.formats.spreadsheets import disarmed
from fairlab.data.selections import Selection
from fairlab.errors import FairLabError, Refused
from fairlab.files import explain, make_folder, place_folder, write_atomic
from fairlab.machine.temporaries import beside
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.projections import StoredMap, list_projections
from fairlab.store.runs import RunRecord

Format = Literal["csv", "parquet", "fiftyone"]
FORMATS: dict[Format, str] = {"csv": ".csv", "parquet": ".parquet", "fiftyone": ""}
FIFTYONE = "fiftyone.types.FiftyOneImageClassificationDataset"
CHUNK = 16_384
"""Rows of a parquet file that are in memory at a time: 34 MB of 512 numbers."""
Progress = Callable[[int, int], None]


def write_selection_files(
    data: Dataset,
    selection: Selection,
    out: Path,
    kind: Format,
    spaces: Sequence[RunRecord] = (),
    progress: Progress = lambda _done, _total: None,
) -> None:
    """Write a selection to the file `out`, in place of an earlier one (fiftyone: to the new folder `out`).

    spaces: runs whose vectors and positions go into parquet; progress: called with images (done, total). Raises FairLabError
    for another kind, for spaces that cannot be in it, and without images; Refused where the folder is there already.
    """
    if kind not in FORMATS:
        raise FairLabError(f"a selection is written as {', '.join(FORMATS)}, not as {str(kind)[:40]!r}")
    if spaces and kind != "parquet":
        raise FairLabError(f"vectors and map positions go into parquet, not into {kind}: choose parquet, or no spaces")
    if kind == "csv":
        write_atomic(out, partial(_write_csv, table_of(data, selection)))
    elif kind == "parquet":
        write_atomic(out, lambda path: _write_parquet(path, data, selection, spaces, progress))
    else:
        _write_fiftyone(data, selection, out, progress)


def table_of(data: Dataset, selection: Selection) -> pd.DataFrame:
    """The rows of the data set's images (tables.IMAGES and its attributes) that are in a selection."""
    return data.images.iloc[selection.ids].reset_index(drop=True)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    texts = {
        name: [disarmed(str(text)) for text in table[name]] for name in table if table[name].dtype.kind not in "iuf"
    }
    table.assign(**texts).to_csv(path, index=False)


def column_name(run_id: str) -> str:
    """A run's id as the end of a column's name: letters, digits and "_", so that no tool needs quotes for it."""
    return re.sub(r"\W", "_", run_id)


def _write_parquet(
    path: Path, data: Dataset, selection: Selection, spaces: Sequence[RunRecord], progress: Progress
) -> None:
    opened = [
        (column_name(run.run_id), open_embeddings(run.folder, data.dataset_id), _newest(run, data)) for run in spaces
    ]
    writer, done = None, 0
    try:
        for start in range(0, len(selection.ids), CHUNK):
            ids = selection.ids[start : start + CHUNK]
            part = pa.Table.from_pandas(_texts(data.images.iloc[ids]), preserve_index=False)
            for name, embeddings, drawn in opened:
                part = part.append_column(f"vector_{name}", _vectors(embeddings, ids))
                for axis, values in zip("xy", _positions(drawn, ids), strict=True):
                    part = part.append_column(f"{axis}_{name}", pa.array(values, from_pandas=True))
            writer = writer or pq.ParquetWriter(path, part.schema)
            writer.write_table(part)
            done += len(ids)
            progress(done, len(selection.ids))
    finally:
        if writer is not None:
            writer.close()


def _texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with plain columns: categories and paths as text, the same in every part of the file."""
    kept = rows.reset_index(drop=True)
    return kept.assign(**{name: kept[name].astype(str) for name in kept if kept[name].dtype.kind not in "iufb"})


def _newest(run: RunRecord, data: Dataset) -> StoredMap | None:
    return next((item for item in list_projections(run.folder, data.dataset_id) if item.whole), None)


def _vectors(embeddings: Embeddings, ids: np.ndarray) -> pa.Array:
    """(N,) lists of D float32; an image that has no embedding there has none."""
    rows = np.minimum(np.searchsorted(embeddings.ids, ids), len(embeddings.ids) - 1)
    known = embeddings.ids[rows] == ids
    values = np.asarray(embeddings.vectors[rows])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]).cast(pa.list_(pa.float32()))
    return lists if known.all() else pc.if_else(pa.array(known), lists, pa.scalar(None, lists.type))


def _positions(drawn: StoredMap | None, ids: np.ndarray) -> np.ndarray:
    """(2, N) float32 of a map, NaN (empty in the file) for an image that it does not show."""
    if drawn is None:
        return np.full((2, len(ids)), np.nan, np.float32)
    points = drawn.points.drop_duplicates("image_id").set_index("image_id")[["x", "y"]]
    return points.reindex(ids).to_numpy(np.float32).T


def _write_fiftyone(data: Dataset, selection: Selection, out: Path, progress: Progress) -> None:
    if not data.has_images:
        raise FairLabError(
            f"data set {data.dataset_id} came as a table and has no images; write csv or parquet instead"
        )
    if os.path.lexists(out):
        raise Refused(f"{out} already exists: name a new folder for FiftyOne")
    temporary = beside(out)
    try:
        make_folder(temporary / "data")
        for done, image_id in enumerate(selection.ids.tolist(), 1):
            picture = Image.fromarray(np.asarray(data.pixels[image_id]))
            picture.save(temporary / "data" / f"{image_id:09d}.png", "PNG")
            progress(done, len(selection.ids))
        (temporary / "labels.json").write_text(json.dumps(fiftyone_labels(data, selection)), encoding="utf-8")
        for path in temporary.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        place_folder(temporary, out)
    except OSError as error:
        raise FairLabError(explain(error, out)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fiftyone_labels(data: Dataset, selection: Selection) -> dict[str, Any]:
    """labels.json: the group of every image as its class, and what else the data set knows as attributes."""
    rows = _texts(table_of(data, selection))
    classes = [str(group) for group in data.groups]
    number = {group: at for at, group in enumerate(classes)}
    further = [
        "image_id",
        "identity",
        "split",
        "source",
        *(name for name in rows if str(name).startswith("attribute.")),
    ]
    labels = {
        f"{row['image_id']:09d}": {
            "label": number[row["group"]],
            "attributes": {name.removeprefix("attribute."): row[name] for name in further},
        }
        for row in rows.to_dict("records")
    }
    return {"classes": classes, "labels": labels}
