from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.data.formats import text_lists
from fairlab.data.readers.pair_lists import KINDS, PAIR_LIST, PairList, read_pairs
from fairlab.data.readers.rfw_lists import LANDMARKS, rfw_images, rfw_landmarks, rfw_people
from fairlab.errors import Damaged, FairLabError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rfw(folds: int = 10, each: int = 300, separator: str = "\t") -> str:
    """Lines as RFW has them: in every fold `each` genuine, then `each` impostor pairs."""
    lines = []
    for fold in range(folds):
        lines += [separator.join((f"m.{fold}g{i}", "1", "2")) for i in range(each)]
        lines += [separator.join((f"m.{fold}a{i}", "1", f"m.{fold}b{i}", "13")) for i in range(each)]
    return "\n".join(lines) + "\n"


def test_rfw_as_it_is(tmp_path: Path) -> None:
    """6000 lines: ten folds of 300 genuine, then 300 impostor pairs, and nothing odd."""
    read = read_pairs(write(tmp_path, rfw()))
    pairs = read.pairs
    assert (read.kind, read.separator, read.problems) == ("rfw", "\t", ())
    assert tuple(pairs.columns) == PAIR_LIST
    assert [str(kind) for kind in pairs.dtypes[2:]] == ["bool", "int64", "int64"]
    assert pairs["fold"].tolist() == [line // 600 for line in range(6000)]
    assert pairs["genuine"].tolist() == [line % 600 < 300 for line in range(6000)]
    assert pairs["line"].tolist() == list(range(1, 6001))
    assert pairs.loc[0, ["image_a", "image_b"]].tolist() == ["m.0g0/m.0g0_0001.jpg", "m.0g0/m.0g0_0002.jpg"]
    assert pairs.loc[300, ["image_a", "image_b"]].tolist() == ["m.0a0/m.0a0_0001.jpg", "m.0b0/m.0b0_0013.jpg"]


def test_rfw_of_another_length_has_contiguous_folds(tmp_path: Path) -> None:
    """As sklearn's KFold has them; uneven ones are said."""
    lines = rfw(23, 1).splitlines()[:43]
    read = read_pairs(write(tmp_path, "\n".join(lines)))
    assert np.bincount(read.pairs["fold"]).tolist() == [5, 5, 5, 4, 4, 4, 4, 4, 4, 4]
    assert read.pairs["fold"].is_monotonic_increasing
    assert read.problems == ("the folds have 4 to 5 pairs",)


def test_a_shuffled_rfw_list_is_said(tmp_path: Path) -> None:
    lines = rfw().splitlines()
    lines[0], lines[300] = lines[300], lines[0]
    assert "2 pairs are not where" in read_pairs(write(tmp_path, "\n".join(lines))).problems[0]
    ordered = sorted(rfw().splitlines(), key=lambda line: line.count("\t"))
    assert "10 folds hold only" in read_pairs(write(tmp_path, "\n".join(ordered))).problems[0]


@pytest.mark.parametrize("separator", ["\t", ",", ";", " ", "   "])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_bom_make_no_difference(
    separator: str, ending: str, mark: str, tmp_path: Path
) -> None:
    text = rfw(10, 2, separator)
    read = read_pairs(write(tmp_path, mark + text.replace("\n", ending)))
    assert read.separator == (separator.strip(" ") or " ")
    pd.testing.assert_frame_equal(read.pairs, read_pairs(write(tmp_path, rfw(10, 2))).pairs)


def test_lfw_with_folds(tmp_path: Path) -> None:
    text = "10\t2\n" + rfw(10, 2)
    read = read_pairs(write(tmp_path, text))
    assert (read.kind, read.problems) == ("lfw", ())
    assert read.pairs["fold"].tolist() == [place // 4 for place in range(40)]
    assert read.pairs["line"].tolist() == list(range(2, 42))
    assert read.pairs.loc[0, "image_b"] == "m.0g0/m.0g0_0002.jpg"
    assert read_pairs(write(tmp_path, text), suffix=".png").pairs.loc[0, "image_b"] == "m.0g0/m.0g0_0002.png"


def test_lfw_without_folds(tmp_path: Path) -> None:
    """pairsDevTest.txt: the header is one number."""
    read = read_pairs(write(tmp_path, "3\n" + rfw(1, 3)))
    assert (read.kind, read.separator) == ("lfw", "\t")
    assert read.pairs["fold"].tolist() == [0] * 6
    assert read.problems == ("the list has 1 folds, not 10",)


def test_lfw_whose_header_is_not_true(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="line 1: the header says 10 folds of 3 genuine and 3 impostor pairs, but 40"):
        read_pairs(write(tmp_path, "10\t3\n" + rfw(10, 2)))
    with pytest.raises(Damaged, match="line 1"):
        read_pairs(write(tmp_path, "10\t0\n"), kind="lfw")
    read = read_pairs(write(tmp_path, "2\t1\n" + "".join(reversed(rfw(2, 1).splitlines(keepends=True)))))
    assert "4 pairs are not where an LFW list has" in read.problems[0]


def test_lfw_as_tables(tmp_path: Path) -> None:
    """pairs.csv of the copy on Kaggle: LFW's lines, a header, and an empty fourth field in genuine pairs."""
    lines = [line.replace("\t", ",") + "," * (line.count("\t") == 2) for line in rfw(10, 2).splitlines()]
    read = read_pairs(write(tmp_path, "name,imagenum1,imagenum2,\n" + "\n".join(lines) + "\n"))
    assert (read.kind, read.problems) == ("kaggle", ())
    official = read_pairs(write(tmp_path, "10\t2\n" + rfw(10, 2)))
    columns = ["image_a", "image_b", "genuine", "fold", "line"]
    assert read.pairs[columns].equals(official.pairs[columns])


@pytest.mark.parametrize("given", ["matchpairsDevTest.csv", "mismatchpairsDevTest.csv"])
def test_lfws_two_tables_are_one_list(tmp_path: Path, given: str) -> None:
    """Twenty pairs of either; each fold has two of either, whichever of the files is named."""
    genuine = "".join(f"g{n},1,2\n" for n in range(20))
    impostor = "".join(f"a{n},1,b{n},3\n" for n in range(20))
    (tmp_path / "matchpairsDevTest.csv").write_text("name,imagenum1,imagenum2\n" + genuine)
    only = read_pairs(tmp_path / "matchpairsDevTest.csv")
    assert "10 folds hold only genuine or only impostor pairs" in only.problems[0]
    (tmp_path / "mismatchpairsDevTest.csv").write_text("name,imagenum1,name.1,imagenum2\n" + impostor)
    read = read_pairs(tmp_path / given)
    assert read.pairs.groupby("fold")["genuine"].agg(["sum", "size"]).to_numpy().tolist() == [[2, 4]] * 10
    assert read.pairs.loc[2, ["image_a", "image_b"]].tolist() == ["a0/a0_0001.jpg", "b0/b0_0003.jpg"]
    assert "was read together with" in read.problems[0]
    (tmp_path / "mismatchpairsDevTest.csv").write_text("a0,1,b0,3\n")
    with pytest.raises(Damaged, match=r"mismatchpairsDevTest\.csv, line 1: expected a header"):
        read_pairs(tmp_path / "matchpairsDevTest.csv")


def two_lines(labels: list[int]) -> str:
    return "".join(f"p{i}_0001.jpg {label}\nq{i}_0002.jpg {label}\n" for i, label in enumerate(labels))


def test_cplfw_and_calfw_are_folded_anew(tmp_path: Path) -> None:
    """Files with all genuine pairs first; every fold gets 300 of either, and calfw's own fold numbers agree."""
    for kind, genuine in (("cplfw", [1] * 3000), ("calfw", [1 + pair // 300 for pair in range(3000)])):
        read = read_pairs(write(tmp_path, two_lines([*genuine, *[0] * 3000])))
        assert (read.kind, read.problems) == (kind, ())
        pairs = read.pairs
        assert (pairs.groupby(["fold", "genuine"]).size() == 300).all()
        assert pairs["fold"].is_monotonic_increasing
        assert pairs["genuine"].tolist() == [place % 600 < 300 for place in range(6000)]
        assert pairs.loc[300, ["image_a", "image_b"]].tolist() == ["p3000_0001.jpg", "q3000_0002.jpg"]
        assert pairs.loc[300, "line"] == 6001
        if kind == "calfw":
            of_list = pairs.loc[pairs["genuine"], "line"].to_numpy() // 2
            assert (np.array(genuine)[of_list] - 1 == pairs.loc[pairs["genuine"], "fold"]).all()


def test_labelled_lists(tmp_path: Path) -> None:
    """AgeDB and CFP as text; -1 is what AgeDB's own file has for impostors."""
    text = "a/1.jpg,b/2.jpg,0\na/1.jpg,a/2.jpg,1\nc/1.png,b/2.jpg,-1\na/1.jpg,a/3.jpg,TRUE\n"
    read = read_pairs(write(tmp_path, text))
    assert (read.kind, read.separator) == ("labelled", ",")
    assert read.pairs["genuine"].tolist() == [False, True, False, True]
    assert read.pairs["image_a"].tolist() == ["a/1.jpg", "a/1.jpg", "c/1.png", "a/1.jpg"]


def test_frcsyn_lists_tell_nothing_of_identities_unless_folders_do(tmp_path: Path) -> None:
    path = write(tmp_path, "x/a/1.jpg;x/a/2.jpg\nx/a/1.jpg;y/a/1.jpg\n")
    read = read_pairs(path)
    assert (read.kind, read.separator) == ("frcsyn", ";")
    assert read.pairs["genuine"].isna().all()
    assert read.pairs["genuine"].dtype == "boolean"
    assert "does not distinguish genuine from impostor" in read.problems[0]
    told = read_pairs(path, identity_from_folder=True)
    assert told.pairs["genuine"].tolist() == [True, False]
    assert told.pairs["genuine"].dtype == bool
    with pytest.raises(Damaged, match="line 1: an image without a folder"):
        read_pairs(write(tmp_path, "1.jpg;2.jpg\n"), identity_from_folder=True)


def test_csv_with_a_header(tmp_path: Path) -> None:
    """Columns in any order and case, others beside them, quotes, and folds from 1."""
    text = 'Fold,score,image_b,GENUINE,image_a\n2,0.1,"b, c/1.jpg",0,a/1.jpg\n1,,a/2.jpg,1,a/1.jpg\n'
    read = read_pairs(write(tmp_path, text))
    assert read.kind == "csv"
    assert read.pairs.to_dict("list") == {
        "image_a": ["a/1.jpg", "a/1.jpg"],
        "image_b": ["a/2.jpg", "b, c/1.jpg"],
        "genuine": [True, False],
        "fold": [0, 1],
        "line": [3, 2],
    }
    without = read_pairs(write(tmp_path, "image_a\timage_b\tgenuine\na\tb\t1\na\tc\t0\n"))
    assert without.pairs["fold"].tolist() == [0, 1]


def test_names_in_any_script_with_spaces(tmp_path: Path) -> None:
    """With tabs between them; nothing in a name is a quote."""
    names = ["Zoë Q", "李 小龙", "محمد علي", "דוד בן-גוריון", "👩🏽‍🔬 lab", 'the "Rock", D']
    read = read_pairs(write(tmp_path, "".join(f"{name}\t1\t2\n" for name in names)))
    assert read.pairs["image_a"].tolist() == [f"{name}/{name}_0001.jpg" for name in names]


def test_paths_of_windows_and_fields_left_empty_at_the_end(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path, "a\\1.jpg,a\\2.jpg,1\n")).pairs.loc[0, "image_b"] == "a/2.jpg"
    read = read_pairs(write(tmp_path, "Ann,1,4,\nAnn,1,Bo,1\n"))
    assert (read.kind, read.pairs["genuine"].tolist()) == ("rfw", [True, False])


def test_repeated_pairs_are_counted_and_kept(tmp_path: Path) -> None:
    """In either order."""
    read = read_pairs(write(tmp_path, "a\t1\t2\nb\t1\t2\na\t2\t1\na\t1\t2\n"))
    assert len(read.pairs) == 4
    assert read.problems[0].startswith("2 pairs appear more than once")


def test_the_kind_can_be_overruled(tmp_path: Path) -> None:
    """`12 3 1` might be two numbered images of identity 12, or the images 12 and 3."""
    path = write(tmp_path, "12 3 1\n")
    assert read_pairs(path).pairs.loc[0, "image_a"] == "12/12_0003.jpg"
    assert read_pairs(path, kind="labelled").pairs.loc[0, "image_a"] == "12"
    with pytest.raises(FairLabError, match="unknown kind of pair list 'ijbc'; the kinds are " + ", ".join(KINDS)):
        read_pairs(path, kind="ijbc")


WRONG = {  # what is said -> the list
    "line 2: 2 fields, expected 3 or 4": "a\t1\t2\na\t1\nb\t1\t2\n",
    "line 4: 5 fields, expected 3 or 4": "a\t1\t2\n\n\na\t1\tb\t2\t3\n",
    "line 2: 1 fields, expected 3 or 4": "a\t1\t2\nb 1 2\nc\t1\t2\n",
    "line 2: an empty field": "a\t1\t2\n\t1\t2\n",
    "line 2: 'x' is not a number": "a\t1\t2\na\t1\tx\n",
    "line 2: '-3' is not a number": "a\t1\t2\na\t1\t-3\n",
    "line 2: '1e3' is not a number": "a 1 2\na 1 1e3\n",
    "line 2: '٣' is not a number": "a\t1\t2\na\t1\t٣\n",
    "line 1: the image 'a/a_0002.jpg' is paired with itself": "a\t2\t2\n",
    "line 2: the image 'y' is paired with itself": "x,y,1\ny,y,0\n",
    "line 1: four fields mean an impostor pair, but both images are of 'a'": "a\t1\ta\t2\n",
    "line 3: 'y' and 'x' are genuine here, but impostor elsewhere: see line 1": "x,y,0\nx,z,0\ny,x,1\n",
    "line 2: '2' is neither 1 (genuine) nor 0 (impostor)": "x,y,0\nx,z,2\n",
    "line 3: this line has no partner": "a.jpg 1\nb.jpg 1\nc.jpg 0\n",
    "line 4: label 0, but 1 in the pair's first line 3": "a.jpg 1\nb.jpg 1\nc.jpg 1\nd.jpg 0\n",
    "line 3: label 11, expected 0 to 10": "a.jpg 1\nb.jpg 1\nc.jpg 11\nd.jpg 11\n",
    "line 1: 1 fields match no known kind of list": "hello\nworld\n",
    "line 1: 7 fields match no known kind of list": "1,2,3,4,5,6,7\n",
    "line 1: the header names the column 'genuine' 0 times": "image_a,image_b,same\nx,y,1\n",
    "line 3: 2 fields, expected 3 as in the header": "image_a,image_b,genuine\nx,y,1\nx,z\n",
    "holds no pairs": "image_a,image_b,genuine\n",
    "line 2: '../../etc/passwd' is not a path inside": "x,y,1\nx,../../etc/passwd,1\n",
    "line 1: '/etc/passwd' is not a path inside": "/etc/passwd,y,1\n",
    "line 1: 'C:/x.jpg' is not a path inside": "C:\\x.jpg,y,1\n",
    "line 1: '../.._0001.jpg' is not a path inside": "..\t1\t2\n",
    "line 2: the quotes are wrong": 'x,y,1\n"x,z,1\n',
    "is empty": " \n\n",
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(said: str, tmp_path: Path) -> None:
    path = write(tmp_path, WRONG[said])
    with pytest.raises(Damaged) as caught:
        read_pairs(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Damaged, match=r"line 2: this is not UTF-8 text"):
        read_pairs(write(tmp_path, b"a\t1\t2\nM\xfcller\t1\t2\n"))
    assert read_pairs(write(tmp_path, "M\u00fc\t1\t2\n".encode("utf-16"))).pairs["image_a"].tolist() == [
        "M\u00fc/M\u00fc_0001.jpg"
    ]
    with pytest.raises(Damaged, match="line 2: this is not text: it holds a NUL"):
        read_pairs(write(tmp_path, "a\t1\t2\n\0\t1\t2\n"))
    with pytest.raises(FairLabError, match="No such file"):
        read_pairs(tmp_path / "none.txt")
    with pytest.raises(FairLabError, match="Is a directory"):
        read_pairs(tmp_path)
    monkeypatch.setattr(text_lists, "MAX_BYTES", 5)
    with pytest.raises(FairLabError, match="larger than 5 bytes"):
        read_pairs(write(tmp_path, "a\t1\t2\n"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text("ab01 \t,;\n\"'./", max_size=40), st.sampled_from([None, *KINDS]))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str | bytes, kind: str) -> None:
    """Never another error; and what is read is a whole table whose paths stay below the folder of images."""
    path = write(tmp_path_factory.getbasetemp(), text)
    try:
        read: PairList = read_pairs(path, kind=kind)
    except FairLabError:
        return
    assert len(read.pairs) > 0
    assert (read.pairs["image_a"] != read.pairs["image_b"]).all()
    for name in [*read.pairs["image_a"], *read.pairs["image_b"]]:
        assert ".." not in name.split("/")
        assert not name.startswith("/")


def test_rfw_landmarks(tmp_path: Path) -> None:
    """As listed: image-left eye first; a repeated line once; files below RFW's root, images as in pair lists."""
    line = "/test/data/African/m.x/m.x_0002.jpg\t7\t" + "\t".join(f"{place}.5" for place in range(10))
    table = rfw_landmarks(write(tmp_path, f"{line}\n{line}\n{line.replace('0002', '0003')}\n"))
    assert list(table.columns) == ["file", "image", *LANDMARKS]
    assert table["file"].tolist() == [f"test/data/African/m.x/m.x_000{number}.jpg" for number in (2, 3)]
    assert table["image"].tolist() == ["m.x/m.x_0002.jpg", "m.x/m.x_0003.jpg"]
    assert table.loc[0, list(LANDMARKS)].tolist() == [place + 0.5 for place in range(10)]
    for wrong, said in (
        (line + "\t1\t1", "line 2: 14 fields, expected 12 or 13"),
        (line.replace("3.5", "inf"), "line 2: 'inf' is not a coordinate"),
        (line.replace("3.5", "x"), "line 2: 'x' is not a coordinate"),
        (line.replace("\t7\t", "\tx\t"), "line 2: 'x' is not a number"),
        (line.replace("3.5", "4"), "line 2: 'test/data/African/m.x/m.x_0002.jpg' is in an earlier line with different"),
        (line.replace("African", ".."), "line 2: 'test/data/../m.x/m.x_0002.jpg' is not a path inside"),
    ):
        with pytest.raises(Damaged) as caught:
            rfw_landmarks(write(tmp_path, f"{line}\n{wrong}\n"))
        assert said in str(caught.value)


def test_rfw_people_and_images(tmp_path: Path) -> None:
    people = rfw_people(write(tmp_path, "m.0xnkj\t3\nm.a_b\t0\n"))
    assert people.to_dict("list") == {"identity": ["m.0xnkj", "m.a_b"], "images": [3, 0]}
    images = rfw_images(write(tmp_path, "m.0xnkj_0002.jpg\t0\nm.a_b_0001.jpg\t1\nm.a_b_0001.jpg\t1\n"))
    assert images.to_dict("list") == {
        "image": ["m.0xnkj/m.0xnkj_0002.jpg", "m.a_b/m.a_b_0001.jpg"],
        "identity": ["m.0xnkj", "m.a_b"],
        "person": [0, 1],
    }
    with pytest.raises(Damaged, match="line 2: the identity 'a' is listed twice"):
        rfw_people(write(tmp_path, "a\t1\na\t1\n"))
    with pytest.raises(Damaged, match=r"line 1: 'nobody\.jpg' is not a name such as"):
        rfw_images(write(tmp_path, "nobody.jpg\t1\n"))
    with pytest.raises(Damaged, match=r"line 2: .* is in an earlier line"):
        rfw_images(write(tmp_path, "m.a_1.jpg\t1\nm.a_1.jpg\t2\n"))
