"""Long lists of whole numbers: read as they are, whatever the blocks, or one sentence with the line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.formats import number_lists
from fairlab.data.formats.number_lists import read_numbers
from fairlab.errors import Damaged, FairLabError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "pairs.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("block", [1 << 20, 13])
def test_lists_are_read_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Spaces, tabs, blank lines, a mark at the beginning, either end of line, no end at the end; also in small blocks."""
    monkeypatch.setattr(number_lists, "BLOCK", block)
    text = "\ufeff1 2 0\r\n\n 12\t999999999  1 \n007 0 1\n\n\n1 2 3"
    numbers, lines = read_numbers(write(tmp_path, text), 3)
    assert numbers.tolist() == [[1, 2, 0], [12, 999_999_999, 1], [7, 0, 1], [1, 2, 3]]
    assert lines.tolist() == [1, 3, 4, 7]


@given(rows=st.lists(st.tuples(*[st.integers(0, 999_999_999)] * 3), min_size=1, max_size=40))
def test_what_was_written_is_read(rows: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("list"), "".join(f"{a} {b} {c}\n" for a, b, c in rows))
    assert read_numbers(path, 3)[0].tolist() == [list(row) for row in rows]


@settings(max_examples=300)
@given(text=st.text(alphabet="07 \t\n\r", max_size=40), line=st.text(alphabet="0123456789 -+.e\r\n", max_size=12))
def test_any_text_is_read_as_its_lines_say_or_refused(
    text: str, line: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As a reader of one line after another has it: two numbers in each, or the first line that is not so."""
    path = write(tmp_path_factory.mktemp("list"), text + line)
    rows, wrong = [], 0
    for number, row in enumerate((text + line).replace("\r\n", "\n").split("\n"), 1):
        if re.fullmatch(r"[ \t]*[0-9]+[ \t]+[0-9]+[ \t]*", row) and max(map(int, row.split())) <= 999_999_999:
            rows.append([number, *map(int, row.split())])
        elif row.strip(" \t"):
            wrong = wrong or number
    if rows and not wrong:
        numbers, lines = read_numbers(path, 2)
        assert np.column_stack([lines, numbers]).tolist() == rows
        return
    with pytest.raises(Damaged, match=rf", line {wrong}: " if wrong else "is empty"):
        read_numbers(path, 2)


def test_a_line_of_a_million_numbers_is_refused_at_once(tmp_path: Path) -> None:
    """A parser that makes a column of each takes gigabytes."""
    began = time.process_time()
    with pytest.raises(Damaged, match="line 2: '1 1 1"):
        read_numbers(write(tmp_path, "\n" + "1 " * 1_000_000 + "\n"), 3)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("block", [1 << 20, 17])
@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("1 2 0\n3 4\n5 6 1\n", 2, "'3 4' is not 3 whole numbers"),
        ("1 2 0\n\n3 4 1 1\n5 x 1\n", 3, "'3 4 1 1' is not 3"),
        ("1 2 0\n3 4 1\n5 -6 1\n", 3, "'5 -6 1'"),
        ("1 2 0\n3 4.0 1\n", 2, "'3 4.0 1'"),
        ("1 2 0\n1234567890 4 1\n", 2, "'1234567890 4 1'"),
        ("1 2 0\n1 2 \ufeff3\n", 2, "is not 3"),
        (b"1 2 0\n1 2 3\0\n", 2, "is not 3"),
        (b"1 2 0\n1 \xff 3\n", 2, r"'1 \\xff 3'"),
        ("template template label\n1 2 0\n", 1, "'template template label'"),
    ],
)
def test_a_wrong_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, text: str | bytes, line: int, said: str
) -> None:
    monkeypatch.setattr(number_lists, "BLOCK", block)
    with pytest.raises(Damaged) as caught:
        read_numbers(write(tmp_path, text), 3)
    if block == 17 and "does not end" in str(caught.value):  # a line longer than such a block
        return
    assert f"pairs.txt, line {line}: " in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_list_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "\n \n"):
        with pytest.raises(Damaged, match=r"pairs\.txt is empty; expected 3 numbers in every line"):
            read_numbers(write(tmp_path, text), 3)
    with pytest.raises(FairLabError, match=r"could not read .*: No such file"):
        read_numbers(tmp_path / "gone.txt", 3)
    with pytest.raises(FairLabError, match=r"could not read .*: Is a directory"):
        read_numbers(tmp_path, 3)
    monkeypatch.setattr(number_lists, "BLOCK", 10)
    with pytest.raises(Damaged, match="line 1: the line does not end within 10 bytes"):
        read_numbers(write(tmp_path, "1 " * 30), 3)
    monkeypatch.setattr(number_lists, "MAX_BYTES", 10)
    with pytest.raises(FairLabError, match="is larger than 10 bytes"):
        read_numbers(write(tmp_path, "1 2 0\n" * 3), 3)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_lists, "BLOCK", 12)
    told: list[tuple[int, int]] = []
    read_numbers(write(tmp_path, "1 2 0\n" * 5), 3, lambda done, total: told.append((done, total)))
    assert told == [(12, 30), (24, 30), (30, 30)]
    assert np.all(np.diff([done for done, _ in told]) > 0)
