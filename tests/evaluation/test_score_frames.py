"""Tables of scored pairs: which column is what, and every way in which a line can be wrong, named by kind and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import Damaged, FairLabError
from fairlab.evaluation.score_frames import DEFECTS, FATAL, scored_pairs
from tests.evaluation.scored_tables import across, both, golden, small

Spoil = Callable[[pd.DataFrame], object]


def with_value(column: str, row: int, value: object) -> Spoil:
    def spoil(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value

    return spoil


def self_pair(table: pd.DataFrame) -> None:
    table.loc[7, ["id2", "img2"]] = table.loc[7, ["id1", "img1"]].to_numpy()
    table.loc[7, "label"] = 1


def twice_turned(table: pd.DataFrame) -> None:
    """Row 7 is row 0 with its sides swapped."""
    table.loc[7, ["id1", "img1", "id2", "img2"]] = table.loc[0, ["id2", "img2", "id1", "img1"]].to_numpy()
    table.loc[7, "label"] = table.loc[0, "label"]


def in_two_groups(table: pd.DataFrame) -> None:
    """Person A1 stands in group B too, in row 200."""
    table.loc[200, "id1"] = "A1"


def contradiction(table: pd.DataFrame) -> None:
    table.loc[7, "label"] = 1 - table.loc[7, "label"]


CASES: dict[str, tuple[str, Spoil]] = {
    "not a number": ("scores", with_value("score", 7, np.nan)),
    "infinite": ("scores", with_value("score", 7, np.inf)),
    "text": ("scores", with_value("score", 7, "high")),
    "empty score": ("scores", with_value("score", 7, "")),
    "label 2": ("labels", with_value("label", 7, 2)),
    "no label": ("labels", with_value("label", 7, "")),
    "no group": ("groups", with_value("group", 7, "")),
    "nobody": ("people", with_value("id2", 7, "")),
    "contradiction": ("contradictions", contradiction),
    "self": ("self_pairs", self_pair),
    "twice": ("duplicates", twice_turned),
    "two groups": ("two_groups", in_two_groups),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_wrong_line_is_named_refused_or_left_out(name: str, in_file: bool, tmp_path: Path) -> None:
    """What no number can be computed with ends in one sentence; the rest is listed; either can be left out by its name."""
    kind, spoil = CASES[name]
    table, line = small(), 200 if kind == "two_groups" else 7
    spoil(table)
    given: pd.DataFrame | Path = table
    if in_file:
        given, line = tmp_path / "scores.csv", line + 2
        table.to_csv(given, index=False)
    if kind in FATAL:
        with pytest.raises(
            FairLabError, match=rf"has 1 {DEFECTS[kind].split('(')[0].strip()}.*line {line}; fix"
        ) as said:
            scored_pairs(given)
        assert "\n" not in str(said.value)
    else:
        kept = scored_pairs(given)
        assert len(kept.frame) == len(table)
        assert [item.kind for item in kept.defects] == [kind]
        assert not kept.defects[0].excluded
        if kind != "two_groups":  # of whom every pair is one
            assert (kept.defects[0].count, kept.defects[0].lines) == (1, (line,))
    for exclude in ([kind], ["all"]):
        left = scored_pairs(given, exclude)
        assert kind in left.excluded
        found = next(item for item in left.defects if item.kind == kind)
        assert found.excluded
        assert len(left.frame) == len(table) - found.count
        assert line not in left.frame["line"].to_numpy()


def test_only_the_first_lines_are_listed_and_all_are_counted() -> None:
    table = small().astype({"score": object})
    table.loc[10:29, "score"] = "?"
    with pytest.raises(FairLabError, match=r"the table has 20 scores .*: line 10, 11, 12, 13, 14 \.\.\.; fix"):
        scored_pairs(table)
    kept = scored_pairs(table, ["scores"])
    assert str(kept.defects[0]).endswith("(line 10, 11, 12, 13, 14 ...), left out")


def test_several_kinds_are_told_apart() -> None:
    table = small()
    for spoil in (
        with_value("score", 20, "x"),
        with_value("label", 21, "perhaps"),
        with_value("group", 22, ""),
        contradiction,
    ):
        spoil(table)
    left = scored_pairs(table, ["all"])
    assert {item.kind: item.lines for item in left.defects} == {
        "scores": (20,),
        "labels": (21,),
        "groups": (22,),
        "contradictions": (7,),
    }
    assert len(left.frame) == len(table) - 4


def test_the_golden_table_has_no_defect_and_people_numbered_anew() -> None:
    found = scored_pairs(golden())
    assert found.defects == ()
    assert len(found.frame) == 18_240
    assert found.notes == (
        "most identities are in several groups: they are assumed to be numbered separately in each group",
    )


def test_people_who_changed_their_group_are_still_the_same_person() -> None:
    """A genuine pair of a person's images in two groups is no contradiction; it belongs to no group."""
    table = both()
    table.loc[len(table)] = {
        "group1": "A", "group2": "B", "id1": "A1", "id2": "A1", "img1": 0, "img2": 9, "label": 1, "score": 3.0
    }  # fmt: skip
    found = scored_pairs(table)
    assert [item.kind for item in found.defects] == ["two_groups"]


def test_bobs_columns(tmp_path: Path) -> None:
    """Subject ids say who is genuine; of several attributes one is named; the reference's group stands first."""
    table = both()
    bob = pd.DataFrame(
        {
            "probe_subject_id": table["id2"],
            "probe_key": table["id2"] + "_" + table["img2"].astype(str),
            "bio_ref_subject_id": table["id1"],
            "bio_ref_key": table["id1"] + "_" + table["img1"].astype(str),
            "probe_race": table["group2"],
            "bio_ref_race": table["group1"],
            "probe_gender": "f",
            "bio_ref_gender": "f",
            "score": table["score"],
        }
    )
    path = tmp_path / "scores.csv"
    bob.to_csv(path, index=False)
    with pytest.raises(FairLabError, match="several attributes; name the one that gives the groups: race, gender"):
        scored_pairs(path)
    found = scored_pairs(path, attribute="race").frame
    assert found["genuine"].tolist() == (table["label"] == 1).tolist()
    assert found["group"].tolist() == table["group1"].tolist()
    assert found["other"].tolist() == table["group2"].tolist()
    assert found["score"].tolist() == table["score"].tolist()


def test_bfws_columns(tmp_path: Path) -> None:
    """p1, p2, att1, att2, label and a column of scores for each model, which is named."""
    table = both()
    image = [table[f"id{side}"] + "/" + table[f"img{side}"].astype(str) + ".jpg" for side in (1, 2)]
    bfw = pd.DataFrame({"p1": image[0], "p2": image[1], "label": table["label"]})
    bfw = bfw.assign(att1=table["group1"], att2=table["group2"], vgg16=table["score"], resnet50=-table["score"])
    path = tmp_path / "bfw.csv"
    bfw.to_csv(path, index=False)
    with pytest.raises(FairLabError, match=r"no column 'score' with scores; expected .* it has: p1, p2"):
        scored_pairs(path)
    found = scored_pairs(path, score="vgg16")
    assert found.frame["score"].tolist() == table["score"].tolist()
    assert found.frame["other"].tolist() == table["group2"].tolist()
    assert not found.named
    assert "does not name the people compared" in found.notes[0]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_kinds_of_files(ending: str, tmp_path: Path) -> None:
    table, path = small(), tmp_path / f"scores.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    found, wanted = scored_pairs(path).frame, scored_pairs(table).frame
    assert found["line"].iloc[0] == 2
    pd.testing.assert_frame_equal(found.drop(columns="line"), wanted.drop(columns="line"), check_dtype=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a table: No columns to parse from file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xd8", "line 1: this is not UTF-8 text"),
        (bytes(range(256)) * 20, "line 2: this is not UTF-8 text"),
        (b"score,group,label\n", "has no rows; expected a row for each scored pair"),
        (b"points;crowd\n1;A\n", "has no column 'score' with scores; expected 'score'; .* it has: points, crowd"),
        (b"score,label\n1,1\n", "has no column 'group'; expected 'group' .or race, ethnicity"),
        (b"group,label,score\nA,1,0,51\nA,0,0,2\n", "every row has more cells .* decimal comma"),
        (b"distance,group,label\n1,A,1\n", "has no column of scores, but one called 'distance'.*--distances"),
        (b"score,group\n1,A\n", "has neither a column 'label' .or 'genuine'. nor two of identities"),
        (b"group,label\nA,1\n", "has no column 'score' with scores; expected .* it has: group, label"),
        (b"score,group,label\n1,A,1\n2,A,0,9,9\n", "cannot be read as a table: .*line 3"),
        (b"score,group,label\n1,all,1\n2,B,0\n", "is called 'all', which FairLab uses for all groups together"),
    ],
)
def test_files_that_are_no_such_table_end_in_one_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(FairLabError, match=said) as error:
        scored_pairs(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_broken_parquet_file_and_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    path.write_bytes(b"PAR1 and then nothing that fits")
    with pytest.raises(Damaged, match="cannot be read as a table"):
        scored_pairs(path)
    with pytest.raises(FairLabError, match="there is no file"):
        scored_pairs(tmp_path / "nothing.csv")


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(FairLabError, match="'outliers' cannot be left out; choose from: scores, labels"):
        scored_pairs(small(), ["outliers"])
    table = small().assign(score="x")
    with pytest.raises(FairLabError, match="the table is empty once"):
        scored_pairs(table, ["all"])


def test_labels_in_words_and_numbers_that_became_floats() -> None:
    """True/False, genuine/impostor, 1.0/0.0; people numbered 1, 2 on one side and 1.0, 2.0 on the other are the same."""
    table = small("A")
    wanted = (table["label"] == 1).tolist()
    for words in ({1: "Genuine", 0: "impostor "}, {1: True, 0: False}, {1: 1.0, 0: 0.0}):
        assert scored_pairs(table.assign(label=table["label"].map(words))).frame["genuine"].tolist() == wanted
    numbers = table.assign(id1=table["id1"].str[1:].astype(int), id2=table["id2"].str[1:].astype(float))
    assert scored_pairs(numbers).frame["genuine"].tolist() == wanted
    assert scored_pairs(table.drop(columns="label")).frame["genuine"].tolist() == wanted


def test_groups_may_be_categories_or_numbers() -> None:
    table = small()
    assert set(scored_pairs(table.astype({"group": "category"})).frame["group"]) == {"A", "B"}
    numbered = table.assign(group=table["group"].map({"A": 1.0, "B": 2.0}))
    numbered.loc[3, "group"] = np.nan
    left = scored_pairs(numbered, ["groups"])
    assert set(left.frame["group"]) == {"1", "2"}
    assert left.defects[0].lines == (3,)


def test_two_columns_of_one_name_are_refused() -> None:
    table = small()
    with pytest.raises(FairLabError, match="the table has two columns 'score'; expected one"):
        scored_pairs(pd.concat([table, table[["score"]]], axis=1))


def test_pairs_across_groups_keep_both_groups() -> None:
    found = scored_pairs(across("AB", 2)).frame
    assert found[["group", "other"]].drop_duplicates().to_numpy().tolist() == [["A", "B"]]
    assert not found["genuine"].any()
