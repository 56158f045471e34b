"""Writing scored pairs as tables that other tools, and FairLab, read back to the last bit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.spreadsheets import disarmed
from fairlab.data.formats.table_headers import PARQUET
from fairlab.errors import FairLabError
from fairlab.files import write_atomic

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def both_sides(images: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """(rows of image_a, rows of image_b, genuine (P,)): all columns of `images` that say something, as text.

    image_a, image_b are ids where `images` has image_id, else row numbers. Raises FairLabError for an image that is not
    there, a name that two images have, what is empty or no text, and a pair that its identities contradict.
    """
    if len(pairs) == 0:
        raise FairLabError("there are no pairs to write")
    said = [name for name in images if name in ("identity", "group", "location") or str(name).startswith("attribute.")]
    texts = pd.DataFrame({name: pd.Series([str(value) for value in images[name]], dtype=object) for name in said})
    index = pd.Index(images["image_id"]) if "image_id" in images else pd.RangeIndex(len(images))
    places = [index.get_indexer(pairs[side]) for side in ("image_a", "image_b")]
    for side, rows in zip(("image_a", "image_b"), places, strict=True):
        if (rows < 0).any():
            raise FairLabError(
                f"a pair names the image {pairs[side].iloc[int(np.argmax(rows < 0))]}, which does not exist"
            )
    used = texts.iloc[np.unique(np.concatenate(places))]
    for name in said:
        for value in used[name].unique():
            _check(value, str(name))
    doubled = used["location"].duplicated()
    if doubled.any():
        raise FairLabError(f"two images are called {used['location'][doubled].iloc[0]!r}; a table of pairs needs names")
    genuine = pairs["genuine"].to_numpy(dtype=bool)
    people = texts["identity"].to_numpy(dtype=object)
    if ((people[places[0]] == people[places[1]]) != genuine).any():
        row = int(np.argmax((people[places[0]] == people[places[1]]) != genuine))
        raise FairLabError(f"pair {row} contradicts its two identities: genuine or impostor?")
    return texts.iloc[places[0]], texts.iloc[places[1]], genuine


def check_scores(scores: np.ndarray, count: int, model: str) -> np.ndarray:
    """(P,) float64. Raises FairLabError when there are not so many, or one is not finite."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (count,):
        raise FairLabError(f"{model}: there are {len(values)} scores for {count} pairs")
    if not np.isfinite(values).all():
        raise FairLabError(f"{model}: the score of pair {int(np.argmax(~np.isfinite(values)))} is not a finite number")
    return values


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write `frame` as CSV (UTF-8, formulas disarmed, numbers exact) or, by its ending, parquet; whole or not at all."""
    path = Path(path)
    for name in frame:
        _check(str(name), "the name of a column")
        if name != str(name).strip():
            raise FairLabError(f"the name of a column cannot be written as {name!r}: it begins or ends with a space")
    if path.suffix.lower() in PARQUET:
        write_atomic(path, lambda temporary: frame.to_parquet(temporary, index=False, engine="pyarrow"))
        return
    safe = frame.rename(columns=disarmed)
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            values = {value: disarmed(value) for value in safe[name].unique()}
            if any(value != shown for value, shown in values.items()):
                safe[name] = safe[name].map(values)
    write_atomic(path, lambda temporary: safe.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n"))


def _check(text: str, where: str) -> None:
    if not text or _CONTROL.search(text):
        raise FairLabError(f"{where} cannot be written as {text!r}: it is empty or holds a control character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FairLabError(f"{where} cannot be written as {text!r}: it is not Unicode text") from error
