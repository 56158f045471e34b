from __future__ import annotations

import csv
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.folds import spread_folds
from fairlab.data.formats.spreadsheets import disarmed, restored
from fairlab.data.readers.scores.tables import ScoreTable, detect_score_table, read_score_table, write_bfw, write_bob
from fairlab.errors import Damaged, FairLabError, Refused

FIXTURES = Path(__file__).parent.parent.parent.parent / "fixtures" / "scores"
BFW, BOB, TEXT = FIXTURES / "bfw.csv", FIXTURES / "bob.csv", FIXTURES / "four_columns.txt"


def changed(folder: Path, source: Path, *replace: tuple[str, str], name: str = "table.csv") -> Path:
    """A copy of a fixture with some text replaced."""
    text = source.read_text()
    for old, new in replace:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / name
    path.write_bytes(text.encode())
    return path


def problems(table: ScoreTable) -> dict[str, int]:
    """The problems and their counts."""
    return {problem.what: problem.count for problem in table.problems}


# ---- BFW


def test_bfw_as_it_is_published() -> None:
    """Seven rows by hand: one of two groups is left out, folds 1, 2, 3 and 5 become 0 to 3, groups are att."""
    table = read_score_table(BFW)
    assert (detect_score_table(BFW), table.kind, table.attribute) == ("bfw", "bfw", "subgroup")
    assert table.images["location"].tolist() == [
        f"asian_{name}.jpg" for name in ("females/n01/1", "females/n01/2", "females/n02/1", "males/n03/1", "males/n03/2",
                                         "males/n04/1")
    ]  # fmt: skip
    assert table.images["identity"].tolist() == ["0", "0", "1", "2", "2", "3"]
    assert table.images["group"].tolist() == ["asian_females"] * 3 + ["asian_males"] * 3
    assert table.images["attribute.gender"].tolist() == ["F"] * 3 + ["M"] * 3
    assert set(table.images["attribute.ethnicity"]) == {"A"}
    assert set(table.images) == {"identity", "group", "location"} | {
        f"attribute.{name}" for name in ("gender", "ethnicity", "subgroup_code")
    }
    assert table.pairs["image_a"].tolist() == [0, 0, 1, 3, 3, 4]
    assert table.pairs["image_b"].tolist() == [1, 2, 2, 4, 5, 5]
    assert table.pairs["genuine"].tolist() == [True, False, False, True, False, False]
    assert table.pairs["fold"].tolist() == [0, 0, 1, 1, 2, 3]
    assert table.pairs["group"].tolist() == ["asian_females"] * 3 + ["asian_males"] * 3
    assert {name: list(values) for name, values in table.scores.items()} == {
        "vgg16": [0.9, -0.25, 0.3, 0.7, 0.12345678901234568, 0.0],
        "resnet50": [0.8125, 0.1, 0.2, 0.6, 1e-05, -0.5],
    }
    assert [str(problem) for problem in table.problems] == [
        "impostor pairs of images in different groups, left out: 1 (line 6)"
    ]


@pytest.mark.parametrize(
    ("asked", "name", "groups", "pairs"),
    [("g", "gender", {"F", "M"}, 6), ("ethnicity", "ethnicity", {"A"}, 7), ("a", "subgroup_code", {"AF", "AM"}, 6)],
)
def test_bfw_by_another_attribute(asked: str, name: str, groups: set[str], pairs: int) -> None:
    """All people are of ethnicity A, so then no pair is across groups."""
    table = read_score_table(BFW, asked)
    assert table.attribute == name
    assert set(table.images["group"]) == groups
    assert len(table.pairs) == pairs
    assert "attribute.subgroup" in table.images
    assert f"attribute.{name}" not in table.images
    with pytest.raises(FairLabError, match="no attribute 'age'; it has: subgroup, subgroup_code, gender, ethnicity"):
        read_score_table(BFW, "age")


@pytest.mark.parametrize("separator", ["\t", ";", ","])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_other_separators_ends_and_a_mark_at_the_start(tmp_path: Path, separator: str, ends: str) -> None:
    path = tmp_path / "table.csv"
    text = BFW.read_text().replace(",", separator).replace("\n", ends).replace("asian_females/n01/1", '"a ,;\tb"')
    path.write_bytes(b"\xef\xbb\xbf" + text.replace('"a ,;\tb".jpg', '"a ,;\tb.jpg"').encode())
    table, plain = read_score_table(path), read_score_table(BFW)
    assert table.images["location"].iloc[0] == "a ,;\tb.jpg"
    pd.testing.assert_frame_equal(table.pairs, plain.pairs)
    assert table.problems == plain.problems


def test_bfw_in_parquet_is_the_same_table(tmp_path: Path) -> None:
    """As pandas writes it: numbers are numbers there."""
    path = tmp_path / "bfw.parquet"
    pd.read_csv(BFW).to_parquet(path)
    table, plain = read_score_table(path), read_score_table(BFW)
    assert detect_score_table(path) == "bfw"
    pd.testing.assert_frame_equal(table.images, plain.images)
    pd.testing.assert_frame_equal(table.pairs, plain.pairs)
    assert all((table.scores[name] == plain.scores[name]).all() for name in plain.scores)
    assert table.problems[0].examples == ("row 5",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label", "truth", "is not a table of scored pairs"),
        ("att1", "other", "only one of the columns att1 and att2"),
        (",id1,", ",other,", "only one of the columns id1 and id2"),
        ("1,asian_females/n01/1.jpg", "1,asian_females/n01/2.jpg", "line 2: the image 'asian_females/n01/2.jpg' is compared"),
        (",1,0,0,asian_females", ",2,0,0,asian_females", "line 2: label is '2', expected 1"),
        (",1,0,0,asian_females", ",0,0,0,asian_females", "line 2: the pair is called impostor, but its identities are '0'"),
        ("2.jpg,1,2,2,", "2.jpg,1,2,9,", "line 6: the image 'asian_males/n03/2.jpg' has the identity '2', but '9' in line 5"),
        ("males,0.9,", "males,nan,", "line 2: vgg16 is nan; expected a finite number"),
        ("males,0.9,", "males,inf,", "line 2: vgg16 is inf"),
        ("males,0.9,", "males,high,", "line 2: vgg16 is 'high', expected a number"),
        ("males,0.9,", 'males,"0,9",', r"line 2: vgg16 is '0,9', expected a number \(write 0.9\)"),
        ("males,0.9,", "males,", "line 2: 15 cells, expected 16"),
        ("1,asian_females/n01/1.jpg", "x,asian_females/n01/1.jpg", "line 2: fold is 'x', expected a whole number"),
        ("1,asian_females/n01/1.jpg", "1,", "line 2: an image name is empty"),
        ("1,asian_females/n01/1.jpg", '1,"a\nb"', "line 3: a cell holds a line break|line 2: a cell holds a line break"),
        ("1,asian_females/n01/1.jpg", '1,"asian', "line"),
        ("1,asian_females/n01/1.jpg", "1,a\x00b", "line 2: p1 holds a line break or a control"),
        (",asian_females,0.9", ",asian_males,0.9", "line 4: the image .*has the subgroup 'asian_females', but 'asian_males'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_bfw_table_is_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(FairLabError, match=message):
        read_score_table(changed(tmp_path, BFW, (old, new)))


def test_a_pair_that_is_genuine_and_impostor_is_refused_with_both_lines(tmp_path: Path) -> None:
    """The same two images, the other way round."""
    path = changed(tmp_path, BFW)
    row = "5,asian_females/n01/2.jpg,asian_females/n01/1.jpg,0,0,0,asian_females,asian_females,0,0,AF,AF,F,F,A,A\n"
    path.write_text(path.read_text() + row)
    with pytest.raises(Damaged, match=r"line 9: .*2.jpg' and '.*1.jpg' are impostor here, but genuine in line 2"):
        read_score_table(path)


def test_pairs_listed_twice_are_counted_and_kept(tmp_path: Path) -> None:
    path = changed(tmp_path, BFW)
    row = "5,asian_females/n01/2.jpg,asian_females/n01/1.jpg,1,0,0,asian_females,asian_females,0,0,AF,AF,F,F,A,A\n"
    path.write_text(path.read_text() + "\n\n" + row)  # blank lines do not move the numbers of lines
    table = read_score_table(path)
    assert len(table.pairs) == 7
    assert str(table.problems[1]).endswith("in either order; all are kept: 1 (line 11)")


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    frame = pd.read_csv(BFW)
    path = tmp_path / "table.csv"
    short = [name for name in frame if name not in ("fold", "id1", "id2", "att1", "att2", "a1", "a2")]
    frame[short].assign(comment="seen").to_csv(path)  # pandas' numbers of rows are not model
    table = read_score_table(path)
    assert (table.attribute, list(table.scores)) == ("gender", ["vgg16", "resnet50"])
    assert table.images["identity"].tolist()[:3] == ["asian_females/n01", "asian_females/n01", "asian_females/n02"]
    assert "columns without numbers, not used: comment" in table.notes
    assert any("no folds" in note for note in table.notes)
    frame[["p1", "p2", "label", "vgg16"]].to_csv(path, index=False)
    with pytest.raises(Damaged, match="names no groups: att1 and att2 are missing"):
        read_score_table(path)
    frame.drop(columns=["vgg16", "resnet50"]).to_csv(path, index=False)
    with pytest.raises(Damaged, match="no column of scores"):
        read_score_table(path)


@pytest.mark.parametrize("labels", [("1.0", "0.0"), ("True", "False")])
def test_labels_and_folds_as_pandas_may_write_them(tmp_path: Path, labels: tuple[str, str]) -> None:
    path, frame = tmp_path / "table.csv", pd.read_csv(BFW)
    frame["label"] = [labels[0] if label else labels[1] for label in frame["label"]]
    frame.astype({"fold": float}).to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_score_table(path).pairs, read_score_table(BFW).pairs)


def test_a_pair_without_a_score_of_one_model_is_left_out_of_all(tmp_path: Path) -> None:
    table = read_score_table(changed(tmp_path, BFW, ("males,0.9,", "males,,")))
    assert table.pairs["image_a"].tolist() == [0, 1, 3, 3, 4]
    assert problems(table)["pairs without a score from 'vgg16' (failure to compute), left out"] == 1
    assert all(len(values) == 5 for values in table.scores.values())


def test_a_pickle_is_refused_with_the_way_to_csv(tmp_path: Path) -> None:
    path = tmp_path / "bfw.pkl"
    path.write_bytes(b"\x80\x04")
    assert detect_score_table(path) == ""
    with pytest.raises(
        Refused, match=r"can run code.*pandas.read_pickle\('bfw.pkl'\).to_csv\('bfw.csv', index=False\)"
    ):
        read_score_table(path)


# ---- bob


def test_bob_csv_by_hand() -> None:
    """Twelve comparisons: four impostors across groups (one of them without a score), one failure within a group."""
    table = read_score_table(BOB)
    assert (detect_score_table(BOB), table.kind, table.attribute) == ("bob", "bob", "race")
    assert table.images["location"].tolist() == ["r/a1", "p/a2", "p/b2", "p/c2", "r/b1", "r/c1", "p/d2", "r/d1"]
    assert table.images["identity"].tolist() == ["a", "a", "b", "c", "b", "c", "d", "d"]
    assert table.images["attribute.gender"].tolist() == ["m", "m", "f", "f", "f", "f", "m", "m"]
    assert table.pairs["image_a"].tolist() == [0, 0, 4, 4, 5, 7, 7]
    assert table.pairs["image_b"].tolist() == [1, 2, 1, 2, 3, 6, 3]
    assert table.pairs["genuine"].tolist() == [True, False, False, True, True, True, False]
    assert table.pairs["group"].tolist() == ["African"] * 4 + ["Asian"] * 3
    assert list(table.scores["score"]) == [0.75, 0.125, 0.1, 0.5, 0.9, 1.0, 0.2]
    assert problems(table) == {
        "impostor pairs of images in different groups, left out": 4,
        "pairs without a score from 'score' (failure to compute), left out": 1,
    }
    assert read_score_table(BOB, "gender").images["group"].tolist() == ["m", "m", "f", "f", "f", "f", "m", "m"]
    with pytest.raises(FairLabError, match="no attribute 'age'; for both sides it has: race, gender"):
        read_score_table(BOB, "age")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.75", ",nan", "line 2: score is nan; expected a finite number"),
        (",0.75", ",-inf", "line 2: score is -inf"),
        (",0.75", ",0.7.5", "line 2: score is '0.7.5'"),
        (
            "p/a2,p/a2,a,African",
            "p/a2,p/a2,z,African",
            "line 5: the image 'p/a2' has the identity 'a', but 'z' in line 2",
        ),
        ("p/a2,p/a2,a,", "r/a1,p/a2,a,", "line 2: the image 'r/a1' is compared with itself"),
    ],
)
def test_what_is_wrong_in_bob_scores_is_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        read_score_table(changed(tmp_path, BOB, (old, new)))


def test_bob_with_the_subjects_only(tmp_path: Path) -> None:
    """score-norm-fairness has five columns: a comparison of a subject with itself is genuine, none is a duplicate."""
    path = tmp_path / "scores.csv"
    rows = ["a,a,X,X,0.9", "a,a,X,X,0.8", "a,b,X,X,0.1", "b,a,X,X,0.2", "b,b,X,X,0.7"]
    path.write_text("probe_subject_id,bio_ref_subject_id,probe_race,bio_ref_race,score\n" + "\n".join(rows) + "\n")
    table = read_score_table(path)
    assert table.pairs["genuine"].tolist() == [True, True, False, False, True]
    assert table.images["location"].tolist() == ["a (reference)", "a (probe)", "b (reference)", "b (probe)"]
    assert table.problems == ()
    assert any("subjects, not images" in note for note in table.notes)


def test_bob_without_attributes_is_one_group(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    pd.read_csv(BOB)[["probe_key", "probe_subject_id", "bio_ref_template_id", "bio_ref_subject_id", "score"]].to_csv(
        path
    )
    table = read_score_table(path)
    assert set(table.images["group"]) == {"everyone"}
    assert len(table.pairs) == 10
    many = pd.read_csv(BOB).rename(columns={"probe_race": "probe_site", "bio_ref_race": "bio_ref_site"})
    many.to_csv(path, index=False)
    with pytest.raises(
        FairLabError, match=r"name the attribute that gives the groups; for both sides it has: site, gender"
    ):
        read_score_table(path)


def test_bobs_old_text() -> None:
    """claimed real probe score; groups are not known, and the claimed identity is a reference of that name."""
    table = read_score_table(TEXT)
    assert detect_score_table(TEXT) == "bob"
    assert table.pairs["genuine"].tolist() == [True, False, True, False]
    assert table.images["location"].tolist() == ["1 (reference)", "s1/probe_1", "s2/probe_1", "2 (reference)"]
    assert table.images["identity"].tolist() == ["1", "1", "2", "2"]
    assert set(table.pairs["group"]) == {"everyone"}
    assert list(table.scores["score"]) == [0.75, -0.125, 0.5, 0.001]
    with pytest.raises(FairLabError, match="bob's text format, which has no attributes"):
        read_score_table(TEXT, "race")


def test_bobs_text_of_five_columns(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    path.write_text("a m1 a p1 0.5\na m1 b p2 -1.5\n")
    table = read_score_table(path)
    assert table.images["location"].tolist() == ["m1 (reference)", "p1", "p2"]
    assert table.pairs["genuine"].tolist() == [True, False]
    path.write_text("a m1 a p1 0.5\na m1 b -1.5\n")
    with pytest.raises(Damaged, match="line 2: 4 cells, expected 5"):
        read_score_table(path)


@pytest.mark.parametrize(
    "text",
    ["m.01\t1\tm.02\t3\n", "a b\n", "", "image_a,image_b,genuine\n", "x.jpg 1.5 2.5 3.5 4.5\n", "\x89PNG\r\n\x1a\n", "\ufeff"],
)  # fmt: skip
def test_other_files_are_not_taken_for_scores(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode("latin-1", "ignore"))
    assert detect_score_table(path) == ""
    assert detect_score_table(tmp_path) == ""
    assert detect_score_table(tmp_path / "nothing") == ""
    with pytest.raises(FairLabError):
        read_score_table(path)


# ---- folds


def test_folds_keep_two_people_together_and_are_as_even_as_can_be() -> None:
    """40 people x 3 genuine pairs, 190 pairs of two people x 2 in each group: each tenth is 12 and 38 (here +- one pair
    of people), whatever the order of rows."""
    rows = []
    for group in (0, 1):
        people = range(100 * group, 100 * group + 40)
        rows += [(a, a, group, True) for a in people for _ in range(3)]
        rows += [(a, b, group, False) for a in people for b in people if a < b <= a + 19 for _ in range(2)]
    first, second, group, genuine = (np.array(part) for part in zip(*rows, strict=True))
    names = [f"person {number}" for number in range(200)]
    folds = spread_folds(first, second, names, group, genuine)
    assert set(folds) == set(range(10))
    for of in (0, 1):
        for truth, spare in ((True, 3), (False, 2)):
            counts = np.bincount(folds[(group == of) & (genuine == truth)], minlength=10)
            expected = ((group == of) & (genuine == truth)).sum() / 10
            assert abs(counts - expected).max() <= spare
    together = pd.DataFrame({"low": np.minimum(first, second), "high": np.maximum(first, second), "fold": folds})
    assert together.groupby(["low", "high"])["fold"].nunique().max() == 1
    order = np.random.default_rng(0).permutation(len(rows))
    again = spread_folds(second[order], first[order], names, group[order], genuine[order])
    assert (again == folds[order]).all()


def test_a_table_with_one_fold_gets_more(tmp_path: Path) -> None:
    """A threshold would else be judged on the very pairs it is chosen on. Where people are too few, that is said."""
    path = tmp_path / "table.csv"
    pd.read_csv(BFW).assign(fold=1).to_csv(path, index=False)
    table = read_score_table(path)  # one genuine and one impostor pair of people in each group
    assert set(table.pairs["fold"]) == {0}
    assert table.notes == (
        "the table has only one fold and too few people for more: accuracy uses a threshold chosen on the same pairs",
    )
    rows = [f"1,{a}/1,{b}/{2 if a == b else 1},{int(a == b)},{a},{b},g,g,0.5" for a in range(20) for b in range(a, 20)]
    path.write_text("fold,p1,p2,label,id1,id2,att1,att2,m\n" + "\n".join(rows) + "\n")
    table = read_score_table(path)
    assert np.bincount(table.pairs["fold"][table.pairs["genuine"]]).tolist() == [2] * 10
    assert np.bincount(table.pairs["fold"][~table.pairs["genuine"]]).tolist() == [19] * 10
    assert "only one fold: its pairs were divided into 10" in table.notes[0]


# ---- writing

ODD = [
    "=1+1",
    "+x",
    "-x",
    "@SUM(A1)",
    "\tx",
    "'quoted",
    "'=x",
    "''@y",
    "ا/ب.jpg",
    "😀,a;b",
    'say "no"',
    "-5",
    "שלום",
    " x",
    "é",
]


@pytest.fixture
def odd() -> ScoreTable:
    """Names, identities, groups and attributes of every awkward kind; scores that need all their digits."""
    count = len(ODD)
    images = pd.DataFrame({"identity": [ODD[at - at % 2] for at in range(count)], "group": "=g"})
    images["location"] = ODD
    images["attribute.gender"] = [
        ODD[-1 - at].strip(" ") for at in range(count)
    ]  # blanks count in names of images only
    images["attribute.skin, +tone"] = [str(at) for at in range(count)]
    a = np.array([at for at in range(count) for other in range(at + 1, count)])
    b = np.array([other for at in range(count) for other in range(at + 1, count)])
    people = images["identity"].to_numpy()
    pairs = pd.DataFrame({"image_a": a, "image_b": b, "genuine": people[a] == people[b], "group": "=g"})
    pairs["fold"] = np.arange(len(pairs)) % 3
    random = np.random.default_rng(1)
    scores = random.normal(size=len(pairs)) * 10.0 ** random.integers(-300, 300, len(pairs))
    return ScoreTable("", images, pairs, {"=model": scores, "b": scores / 3, "p, q": scores * 3}, "subgroup")


def same(read: ScoreTable, written: ScoreTable) -> None:
    for one, two in ((read.images, written.images), (read.pairs, written.pairs)):
        pd.testing.assert_frame_equal(one.astype(object), two[list(one)].astype(object), check_dtype=False)
        assert set(one) == set(two)
    assert list(read.scores) == list(written.scores)
    assert all((read.scores[name] == written.scores[name]).all() for name in written.scores)
    assert (read.problems, read.notes) == ((), ())


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_bfw_written_and_read_is_the_same(tmp_path: Path, odd: ScoreTable, name: str) -> None:
    write_bfw(tmp_path / name, odd.images, odd.pairs, odd.scores)
    same(read_score_table(tmp_path / name), odd)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_bob_written_and_read_is_the_same(tmp_path: Path, odd: ScoreTable, name: str) -> None:
    write_bob(tmp_path / name, odd.images, odd.pairs, odd.scores["b"], "race")
    read = read_score_table(tmp_path / name)
    assert read.attribute == "race"
    same(read, ScoreTable("", odd.images, odd.pairs, {"score": odd.scores["b"]}, "race"))


def test_bfw_grouped_by_another_attribute_is_written_where_it_belongs(tmp_path: Path) -> None:
    table = read_score_table(BFW, "gender")
    write_bfw(tmp_path / "t.csv", table.images, table.pairs, table.scores, "gender")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as handle:
        first = next(csv.DictReader(handle))
    assert (first["g1"], first["att1"], first["e1"]) == ("F", "asian_females", "A")
    read = read_score_table(tmp_path / "t.csv", "gender")
    same(read, table)


def test_a_spreadsheet_finds_no_formula_and_numbers_are_not_touched(tmp_path: Path, odd: ScoreTable) -> None:
    """Read by Python's csv, which knows nothing of our apostrophes."""
    for path, write in ((tmp_path / "a.csv", write_bfw), (tmp_path / "b.csv", None)):
        if write:
            write(path, odd.images, odd.pairs, odd.scores)
        else:
            write_bob(path, odd.images, odd.pairs, odd.scores["b"], "race")
        with open(path, encoding="utf-8", newline="") as handle:
            rows = list(csv.reader(handle))
        cells = {cell for row in rows for cell in row}
        formulas = [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
        for cell in formulas:
            float(cell)  # raises for what is no number
        assert "-5" in cells
        assert any(cell.startswith("-") for row in rows[1:] for cell in row[-1:])


def test_bobs_own_reader_reads_what_we_write(tmp_path: Path, odd: ScoreTable) -> None:
    """bob.bio splits by bio_ref_subject_id == probe_subject_id and takes the column score; here with plain csv."""
    path = tmp_path / "scores.csv"
    write_bob(path, odd.images, odd.pairs, odd.scores["b"], "race")
    split: dict[bool, list[float]] = {True: [], False: []}
    with open(path, encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            split[row["bio_ref_subject_id"] == row["probe_subject_id"]].append(float(row["score"]))
    genuine = odd.pairs["genuine"].to_numpy()
    assert split[True] == odd.scores["b"][genuine].tolist()
    assert split[False] == odd.scores["b"][~genuine].tolist()


def test_a_data_sets_own_tables_are_written_by_image_id(tmp_path: Path) -> None:
    """As the app has them: a split of a set, whose ids are no row numbers."""
    images = pd.DataFrame(
        {"image_id": [70, 50, 60], "identity": ["a", "a", "b"], "group": "g", "location": ["1", "2", "3"]}
    )
    pairs = pd.DataFrame(
        {"pair_id": [0, 1], "image_a": [50, 60], "image_b": [70, 70], "genuine": [True, False], "fold": 0}
    )
    write_bfw(tmp_path / "t.csv", images, pairs, {"m": np.array([0.5, 0.25])})
    read = pd.read_csv(tmp_path / "t.csv")
    assert read["p1"].tolist() == [2, 3]
    assert read["p2"].tolist() == [1, 1]
    assert read["id1"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("images", "location", "x", "two images are called 'x'"),
        ("images", "group", "a\nb", "control character"),
        ("images", "group", "\udcff", "not Unicode"),
        ("images", "group", "", "is empty"),
        ("pairs", "image_a", 99, "names the image 99"),
        ("pairs", "genuine", True, "contradicts its two identities"),
        ("scores", "b", np.ones(3), "b: there are 3 scores"),
        ("scores", "b", np.full(105, np.nan), "pair 0 is not a finite"),
        ("scores", "id1", np.ones(105), "cannot be called 'id1'"),
        ("scores", " m", np.ones(105), "begins or ends with a space"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, odd: ScoreTable, table: str, column: str, value: object, message: str
) -> None:
    if isinstance(value, str) and value == "\udcff":  # only such a column can hold it
        value = pd.Series([value] * len(odd.images), dtype=object)
    getattr(odd, table)[column] = value
    with pytest.raises(FairLabError, match=message):
        write_bfw(tmp_path / "t.csv", odd.images, odd.pairs, odd.scores)
    assert list(tmp_path.iterdir()) == []


@given(st.text(alphabet="'=+-@\t\r5.ex") | st.text())
@settings(max_examples=200)
def test_disarming_is_one_to_one(text: str) -> None:
    assert restored(disarmed(text)) == text


# ---- damaged files


def labels(table: ScoreTable) -> dict[tuple[str, str], bool]:
    """The truth about every two named images."""
    names = table.images["location"].to_numpy()
    both = zip(names[table.pairs["image_a"]], names[table.pairs["image_b"]], strict=True)
    return {(min(two), max(two)): bool(same) for two, same in zip(both, table.pairs["genuine"], strict=True)}


def spoiled(content: bytes, kind: str, count: int = 200) -> list[bytes]:
    """`count` cuts, spread over the file, or flips of one bit at places drawn with a fixed seed."""
    if kind == "cut":
        return [content[: len(content) * at // count] for at in range(count)]
    draw, found = random.Random(7), []
    for _ in range(count):
        other = bytearray(content)
        other[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        found.append(bytes(other))
    return found


@pytest.mark.parametrize("kind", ["cut", "flip"])
@pytest.mark.parametrize("source", ["bfw.csv", "bob.csv", "four_columns.txt", "bfw.parquet"])
def test_damage_is_said_or_does_no_harm(tmp_path: Path, kind: str, source: str) -> None:
    """An error of ours or a table; two images that the whole file knows never change between genuine and impostor."""
    if source == "bfw.parquet":
        original = tmp_path / source
        pd.read_csv(BFW).to_parquet(original, write_page_checksum=True)
    else:
        original = FIXTURES / source
    truth, said = labels(read_score_table(original)), []
    for number, content in enumerate(spoiled(original.read_bytes(), kind)):
        path = tmp_path / f"spoiled{original.suffix}"
        path.write_bytes(content)
        start = time.monotonic()
        detect_score_table(path)
        try:
            table = read_score_table(path)
        except FairLabError as error:
            said.append(str(error))
        else:
            found = labels(table)
            assert all(truth.get(two, same) == same for two, same in found.items()), number
        assert time.monotonic() - start < 5
    assert said
    assert all(str(tmp_path) in text and "\n" not in text for text in said)


def test_a_cut_within_the_last_line_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(BOB.read_bytes()[:-2])
    assert "the last line has no line break; was the file cut off?" in problems(read_score_table(path))
