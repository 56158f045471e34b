"""What a person says of a run or study: tags, a note, a star. labels.json in its folder, beside what it is and how it stands.

No number and no id depends on them, so they may change while a run works. They go along with an archive and go with the folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field

from fairlab.errors import Damaged, FairLabError
from fairlab.files import read_bytes, there, write_json
from fairlab.reading.characters import unfit
from fairlab.reading.structured import parse_json
from fairlab.settings.kept import Kept, checked
from fairlab.workspace import Workspace

FILE = "labels.json"
MOST_TAGS, TAG_LETTERS = 30, 40
READ_LETTERS = 500
"""Of a tag in the file: deleting a person puts a longer word in place of each short name, and the tags are still read."""
NOTE_LETTERS, NOTE_LINES = 4000, 400
MOST_BYTES = 1 << 16
"""Of the file: every letter of the longest note in four bytes, escaped, has room."""


class LabelsFile(Kept):
    """labels.json; the note as its lines, so that no text has a line break in it."""

    tags: tuple[Annotated[str, Field(min_length=1, max_length=READ_LETTERS)], ...] = Field((), max_length=MOST_TAGS)
    note: tuple[Annotated[str, Field(max_length=NOTE_LETTERS)], ...] = Field((), max_length=NOTE_LINES)
    star: bool = False


@dataclass(frozen=True)
class Labels:
    """Tags in the order in which they were given; note: text of several lines, "" for none."""

    tags: tuple[str, ...] = ()
    note: str = ""
    star: bool = False


def read_labels(folder: Path) -> Labels:
    """The labels of a run or study; none where it was never given any. Raises Damaged."""
    path = folder / FILE
    if not there(path):
        return Labels()
    kept = checked(LabelsFile, parse_json(read_bytes(path, MOST_BYTES), str(path), dict), path)
    return Labels(kept.tags, "\n".join(kept.note), kept.star)


def labels_of(folder: Path) -> Labels:
    """As read_labels, for lists: a damaged file hides no run, and `fairlab doctor` names it."""
    try:
        return read_labels(folder)
    except FairLabError:
        return Labels()


def change_labels(
    workspace: Workspace,
    folder: Path,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    note: str | None = None,
    star: bool | None = None,
) -> Labels:
    """Change the labels of a run or study; what is not given stays. Two who change them at once lose nothing.

    Raises FairLabError for a tag or note that cannot be kept, for too many tags, and for a folder that is gone.
    """
    new, gone = [checked_tag(tag) for tag in add], {" ".join(tag.split()) for tag in remove}
    lines = None if note is None else _lines(note)
    with FileLock(workspace.home / "labels.lock", timeout=30):
        if not folder.is_dir():
            raise FairLabError(f"{folder.name} is not in this workspace any more; nothing was noted")
        old = _known(folder)
        tags = [tag for tag in dict.fromkeys([*old.tags, *new]) if tag not in gone]
        if len(tags) > MOST_TAGS:
            raise FairLabError(f"{folder.name} would have {len(tags)} tags; at most {MOST_TAGS} are kept")
        kept = old.note.split("\n") if lines is None else lines
        starred = old.star if star is None else star
        write_json(folder / FILE, {"tags": tags, "note": kept if kept != [""] else [], "star": starred})
    return read_labels(folder)


def _known(folder: Path) -> Labels:
    """What is there; of a damaged file nothing, so that it can be written anew."""
    try:
        return read_labels(folder)
    except Damaged:
        return Labels()


def checked_tag(tag: str) -> str:
    """A tag with single blanks. Raises FairLabError for an empty or long one, for a comma, and for hidden characters."""
    text = " ".join(tag.split())
    if not text or len(text) > TAG_LETTERS:
        raise FairLabError(f"a tag has 1 to {TAG_LETTERS} letters, not {len(text)}: {text[:60]!r}")
    if fault := "a comma" if "," in text else unfit(text):
        raise FairLabError(f"the tag {text!r} holds {fault}; use letters, digits and blanks")
    return text


def _lines(note: str) -> list[str]:
    """A note as its lines. Raises FairLabError for a long one and for hidden characters."""
    lines = [line.replace("\t", " ").rstrip() for line in note.strip().replace("\r\n", "\n").split("\n")]
    letters = sum(map(len, lines))
    if letters > NOTE_LETTERS or len(lines) > NOTE_LINES:
        raise FairLabError(
            f"a note has at most {NOTE_LETTERS:,} letters in {NOTE_LINES} lines, not {letters:,} in {len(lines)}"
        )
    for line in lines:
        if fault := unfit(line):
            raise FairLabError(f"the note holds {fault}; write it as plain text")
    return lines
