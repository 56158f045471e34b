"""Tables as spreadsheets and programs save them: the same numbers whatever the encoding, separator, decimal mark or case."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.listing import reader
from fairlab.data.readers.embedding_files import read_embeddings
from fairlab.data.readers.scores.tables import read_score_table
from fairlab.errors import Damaged, FairLabError
from fairlab.evaluation.score_frames import scored_pairs
from fairlab.jobs.models.tables import report_of
from fairlab.reading.table_text import encoding_of, plain, ranges_of_dates, without_point_zero
from fairlab.settings.study import ModelFile, Source
from tests.evaluation.scored_tables import small

Save = Callable[[pd.DataFrame, Path], object]


def _decimal_commas(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, sep=";", decimal=",")


def _capitals(table: pd.DataFrame, path: Path) -> None:
    table.rename(columns={"score": "Similarity", "label": "Is Genuine", "id1": "ID_1", "id2": "ID 2"}).rename(
        columns=str.upper
    ).to_csv(path, index=False)


def _blanks(table: pd.DataFrame, path: Path) -> None:
    """Blanks behind every second group, label and person, ordinary and unbreakable."""
    for place, name in enumerate(("group", "label", "id1", "id2")):
        texts = table[name].astype(str)
        table[name] = np.where(np.arange(len(table)) % 2 == place % 2, texts + " \u00a0"[: 1 + place % 2], texts)
    table.to_csv(path, index=False)


def _float_ids(table: pd.DataFrame, path: Path) -> None:
    """As pandas writes a column of whole numbers that had a gap once."""
    for side in ("id1", "id2"):
        table[side] = [ord(name[0]) * 100 + int(name[1:]) for name in table[side]]
    table.assign(id1=table["id1"].astype(float)).to_csv(path, index=False)


def _distances(table: pd.DataFrame, path: Path) -> None:
    table.assign(score=-table["score"]).rename(columns={"score": "distance"}).to_csv(path, index=False)


SAVED: dict[str, Save] = {
    "semicolons, decimal commas": _decimal_commas,
    "tabs in a .csv": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    "utf-16": lambda table, path: table.to_csv(path, index=False, encoding="utf-16"),
    "utf-16 without a mark": lambda table, path: table.to_csv(path, index=False, encoding="utf-16-le"),
    "utf-16 and tabs, as Excel's Unicode text": lambda table, path: table.to_csv(
        path, index=False, sep="\t", encoding="utf-16", lineterminator="\r\n"
    ),
    "capitals and other names": _capitals,
    "blanks": _blanks,
    "float ids": _float_ids,
    "empty lines of a spreadsheet": lambda table, path: path.write_text(
        table.to_csv(index=False) + ",,,,,,\n" * 3, encoding="utf-8"
    ),
    "distances": _distances,
}


@pytest.mark.parametrize("name", SAVED)
def test_the_numbers_are_those_of_the_plain_table(name: str, tmp_path: Path) -> None:
    """Of what was written, however it was saved; through `fairlab fairness` and through `fairlab models add`."""
    table, path = small(), tmp_path / "scores.csv"
    SAVED[name](table.copy(), path)
    distances = name == "distances"
    frame = scored_pairs(path, distances=distances).frame
    assert frame["score"].tolist() == table["score"].tolist()
    assert frame["genuine"].tolist() == table["label"].astype(bool).tolist()
    assert frame["group"].tolist() == table["group"].tolist()
    assert frame["id1"].nunique() == frame["id2"].nunique() == table["id1"].nunique()
    read = read_score_table(path, distances=distances)
    assert next(iter(read.scores.values())).tolist() == table["score"].tolist()
    assert read.pairs["genuine"].tolist() == table["label"].astype(bool).tolist()
    assert read.images["identity"].nunique() == table["id1"].nunique()
    assert read.images["group"].tolist() == ["A"] * 18 + ["B"] * 18


def test_distances_are_suspected_before_any_number(tmp_path: Path) -> None:
    """A table of distances in a column called score: the first sentence says so, here as in the report of a model."""
    path = tmp_path / "scores.csv"
    table = small()
    table.assign(score=-table["score"]).to_csv(path, index=False)
    from fairlab.evaluation.fairness_report import fairness_report

    assert fairness_report(path, 0.1, draws=10).summary[0].startswith("Warning: genuine pairs score lower")
    assert report_of(ModelFile(path=str(path)))["warnings"][0].startswith("score: Warning: genuine pairs score lower")
    turned = fairness_report(path, 0.1, draws=10, distances=True)
    assert not turned.summary[0].startswith("Warning")
    assert turned.overall["auc"] == fairness_report(table, 0.1, draws=10).overall["auc"] > 0.5
    assert report_of(ModelFile(path=str(path), distances=True))["warnings"] == []


def test_rows_longer_than_the_header_are_not_shifted(tmp_path: Path) -> None:
    """pandas alone would take the groups for an index, the labels for groups and half a number for the score."""
    path = tmp_path / "scores.csv"
    path.write_text("group,label,score\n" + "A,1,0,51\nA,0,0,12\n" * 5)
    with pytest.raises(Damaged, match=r"every row has more cells than the header.*decimal comma"):
        scored_pairs(path)
    with pytest.raises(FairLabError, match=r"expected 'score'; 'label'.*it has: group, label, points"):
        read_score_table(_written(tmp_path / "other.csv", "group,label,points\nA,1,1\n"))


def _written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def test_a_long_text_repeated_in_a_small_parquet_file(tmp_path: Path) -> None:
    """A megabyte of text a million times is 1 TB if every row gets its own."""
    path = tmp_path / "scores.parquet"
    rows = 1_000_000
    group = pd.Categorical.from_codes(np.zeros(rows, np.int8), ["A" * 1_000_000])
    table = pd.DataFrame({"group": group, "score": np.zeros(rows), "label": np.arange(rows) % 2, "id1": 1, "id2": 2})
    table.to_parquet(path, index=False)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(FairLabError, match="'group' has a cell of 1,000,000 characters, more than 1,000"):
        scored_pairs(path)
    with pytest.raises(Damaged, match="row 1: group has 1,000,000 characters, expected at most 1,000"):
        read_score_table(path)


# ---- people without a name


@pytest.mark.parametrize("blank", ["", " ", "nan", "NaN", "NULL", "None", "#N/A", "<NA>"])
def test_nobody_is_no_person(blank: str, tmp_path: Path) -> None:
    """Rows without an identity are left out, counted and named: not one person called '' (or nan)."""
    np.save(tmp_path / "e.npy", np.eye(6, dtype=np.float32))
    people = ["a", "a", blank, "b", blank, "b"]
    rows = "".join(f"{place}.jpg,{who},g\n" for place, who in enumerate(people))
    _written(tmp_path / "e.csv", "image,identity,group\n" + rows)
    found = read_embeddings(tmp_path / "e.npy")
    assert found.table["identity"].tolist() == ["a", "a", "b", "b"]
    assert found.vectors.argmax(axis=1).tolist() == [0, 1, 3, 5]
    assert (found.problems[0].count, found.problems[0].examples) == (2, ("2.jpg", "4.jpg"))
    assert "empty identity, left out" in found.problems[0].what
    _written(tmp_path / "e.csv", "image,identity\n" + "".join(f"{place}.jpg,{blank}\n" for place in range(6)))
    with pytest.raises(Damaged, match="identities is empty in every row"):
        read_embeddings(tmp_path / "e.npy")


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_nobody_in_a_parquet_file(nothing: float | None, tmp_path: Path) -> None:
    people = [7.0, 7.0, nothing, 8.0]
    vectors = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 1.0]]
    table = pd.DataFrame({"image": list("abcd"), "identity": people, "embedding": vectors})
    table.to_parquet(tmp_path / "e.parquet", index=False)
    found = read_embeddings(tmp_path / "e.parquet")
    assert found.table["identity"].tolist() == ["7", "7", "8"]
    assert found.vectors.tolist() == [vectors[0], vectors[1], vectors[3]]


def test_pairs_of_nobody_are_left_out_of_a_score_table(tmp_path: Path) -> None:
    table = small()
    table.loc[[3, 200], ["id1", "id2"]] = [["", "A1"], ["B3", ""]]
    table.loc[[3, 200], "label"] = 0
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False)
    read = read_score_table(path)
    assert len(read.pairs) == len(table) - 2
    problem = next(item for item in read.problems if "empty identity" in item.what)
    assert (problem.count, problem.examples) == (2, ("line 5", "line 202"))
    assert "" not in set(read.images["identity"])


# ---- attributes


def test_ages_that_a_spreadsheet_turned_into_dates(tmp_path: Path) -> None:
    """FairFace's 3-9 and 10-19 become 9-Mar and 19-Oct where a spreadsheet reads and saves the table."""
    ages = ["0-2", "9-Mar", "19-Oct", "20-29", "03. Sep", "2026-03-09 00:00:00", "more than 70"]
    wanted = ["0-2", "3-9", "10-19", "20-29", "3-9", "3-9", "more than 70"]
    (tmp_path / "people.csv").write_text("identity;age\n" + "".join(f"p{at};{age}\n" for at, age in enumerate(ages)))
    images = pd.DataFrame({"identity": [f"p{at}" for at in range(7)], "location": [f"{at}.jpg" for at in range(7)]})
    from fairlab.data.attributes import with_groups

    found, attribute, problems = with_groups(images, Source(groups_table=str(tmp_path / "people.csv")), "")
    assert (attribute, found["group"].tolist()) == ("age", wanted)
    assert problems[0].count == 4
    assert "a spreadsheet turned into dates" in problems[0].what


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1-2", "Jan-50", "3/9/2026", "09.03.26"], {"Jan-50": "1-50", "3/9/2026": "3-9", "09.03.26": "3-9"}),
        (["9-Mar", "3/9/2026"], {}),  # no range: these may be dates
        (["10-19", "Dozen-9", "13/14/2026"], {}),
    ],
)
def test_dates_that_were_ranges(values: list[str], said: dict[str, str]) -> None:
    assert ranges_of_dates(values) == said


def test_embeddings_may_name_their_groups_as_they_like(tmp_path: Path) -> None:
    """A column race is the groups when none is called group, and any column when it is asked for."""
    np.save(tmp_path / "e.npy", np.eye(4, dtype=np.float32))
    _written(
        tmp_path / "e.csv",
        "File;Person;Race;Sex\n" + "".join(f"{at}.jpg;p{at};{'AB'[at % 2]};{'XY'[at // 2]}\n" for at in range(4)),
    )
    path = tmp_path / "e.npy"
    for asked, wanted in (("", list("ABAB")), ("Sex", list("XXYY"))):
        found = reader("embeddings").listing(
            path, Source(path=str(path), attribute=asked), lambda *_: None, lambda: False
        )
        assert found.images["group"].tolist() == wanted
        assert found.images["identity"].tolist() == ["p0", "p1", "p2", "p3"]


# ---- the rules themselves


def test_encodings() -> None:
    """As Python's codecs write them."""
    text = "group,label\nA,1\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert text.encode(encoding).decode(encoding_of(text.encode(encoding))).lstrip("\ufeff") == text
    assert encoding_of(codecs.BOM_UTF16_BE + text.encode("utf-16-be")) == "utf-16"
    assert encoding_of("é,ü\n".encode("latin-1")) == "utf-8"  # and then said to be no UTF-8, by line


def test_whole_numbers_and_names() -> None:
    assert without_point_zero(["7.0", "", "12.0", "7"]) == ["7", "", "12", "7"]
    assert without_point_zero(["7.0", "m.0"]) == ["7.0", "m.0"]
    assert without_point_zero(["7.5", "8.0"]) == ["7.5", "8.0"]
    assert [plain(name) for name in (" ID_1", "Is Genuine", "probe-subject-id", "SCORE")] == [
        "id1", "is_genuine", "probe_subject_id", "score",
    ]  # fmt: skip
