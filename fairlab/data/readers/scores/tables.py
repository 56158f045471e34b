"""Tables of scored pairs, by which a model is evaluated that never enters the app: what kind a file is, reading, writing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fairlab.data.formats.table_headers import PARQUET, Header, read_header
from fairlab.data.readers.scores.any_table import is_pair_table, read_pair_table
from fairlab.data.readers.scores.bfw import NEEDED as BFW_NEEDED
from fairlab.data.readers.scores.bfw import is_bfw, read_bfw, write_bfw
from fairlab.data.readers.scores.bob import NEEDED as BOB_NEEDED
from fairlab.data.readers.scores.bob import is_bob, read_bob, read_bob_text, text_header, write_bob
from fairlab.data.readers.scores.scored_pairs import ScoreTable
from fairlab.errors import FairLabError, Refused
from fairlab.reading import column_names
from fairlab.reading.table_text import one_of

__all__ = ["ScoreTable", "detect_score_table", "read_score_table", "write_bfw", "write_bob"]

_PICKLES = (".pkl", ".pickle", ".p")
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst", ".tar")


def _recognise(path: Path) -> tuple[str, Header]:
    """("bfw", "bob", "bob text", "pairs" or "", the header). Raises FairLabError, Damaged for what is no table."""
    old = None if path.suffix.lower() in PARQUET else text_header(path)
    if old:
        return "bob text", old
    header = read_header(path, {*BFW_NEEDED, *BOB_NEEDED, *column_names.ALL})
    kinds = {"bfw": is_bfw, "bob": is_bob, "pairs": is_pair_table}
    return next((kind for kind, known in kinds.items() if known(header)), ""), header


def detect_score_table(path: Path | str) -> str:
    """ "bfw", "bob" or "pairs" for a table of scored pairs, "" for anything else. Reads one line; never raises."""
    try:
        return _recognise(Path(path))[0].removesuffix(" text") if Path(path).is_file() else ""
    except FairLabError:
        return ""


def read_score_table(path: Path | str, attribute: str = "", distances: bool = False) -> ScoreTable:
    """Read a table of scored pairs; `attribute`: which one gives the groups; distances: a smaller score means more alike,
    so minus the distances are handed out.

    Raises Refused for a pickle, FairLabError for what is no such table or lacks the attribute, Damaged for what is wrong
    in one, by file and line.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() in _PICKLES:
        raise Refused(
            f"{path} is a pickle, which can run code when it is opened. If you trust its source, convert it to CSV: "
            f'python -c "import pandas; pandas.read_pickle({path.name!r}).to_csv({path.stem + ".csv"!r}, index=False)"'
        )
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a table of scored pairs")
    if path.suffix.lower() in _PACKED:
        raise FairLabError(f"{path} is an archive; unpack it first")
    table = _read(path, attribute)
    if not distances:
        return table
    return replace(table, scores={model: -values for model, values in table.scores.items()})


def _read(path: Path, attribute: str) -> ScoreTable:
    kind, header = _recognise(path)
    if kind == "pairs":
        return read_pair_table(path, header, attribute)
    if kind == "bfw":
        return read_bfw(path, header, attribute)
    if kind == "bob":
        return read_bob(path, header, attribute)
    if kind == "bob text":
        if attribute:
            raise FairLabError(
                f"{path} is bob's text format, which has no attributes such as {attribute!r}; use bob's CSV"
            )
        return read_bob_text(path, header)
    raise FairLabError(
        f"{path} is not a table of scored pairs; expected {column_names.WANTED}; or BFW's columns "
        f"{', '.join(BFW_NEEDED)} and more, or bob's {', '.join(BOB_NEEDED)}; it has: {one_of(header.names)}"
    )
