"""Sets of images as their makers release them: flat folders with lists of bare names, parts, names that tell who is shown.

What is right comes from the sets' own documents: CALFW and CPLFW list `image label`, two lines a pair, 3,000 genuine
pairs and then 3,000 impostor ones, folded into ten of 300 + 300; AgeDB-30 has a .mat with ten splits.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from fairlab.data.listing import Listing, detect_kind, reader
from fairlab.data.names.parts import part_of
from fairlab.data.names.patterns import by_custom, by_template, compiled
from fairlab.errors import FairLabError
from fairlab.evaluation.score_frames import scored_pairs
from fairlab.reading.characters import fault_among
from fairlab.settings.study import Source
from tests.data.trees import face, grouped

PEOPLE = ("Al_Gore", "Anna_K", "Bo_X", "Cy_Y", "Di_Z")


def listed(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return reader(detect_kind(path)[0]).listing(path, source, lambda _d, _t: None, lambda: False)


def said(found: Listing) -> str:
    return "\n".join(map(str, found.problems))


def released(root: Path, name: str, images: str = "aligned images", suffix: str = "") -> Path:
    """CALFW's and CPLFW's trees: 20 genuine and then 20 impostor pairs of five people with three images each."""
    digits, numbered = (4, True) if "CALFW" in name else (1, False)
    for p, person in enumerate(PEOPLE):
        for n in (1, 2, 3):
            face(root / images / f"{person}_{n:0{digits}d}{suffix}.jpg", 10 * p + n, px=24)
    lines = []
    for pair in range(20):
        person, label = PEOPLE[pair % 5], str(pair // 2 + 1) if numbered else "1"
        a, b = ((1, 2), (1, 3), (2, 3), (3, 2))[pair // 5]
        lines += [f"{person}_{n:0{digits}d}.jpg {label}" for n in (a, b)]
    for pair in range(20):
        a, b = PEOPLE[pair % 5], PEOPLE[(pair + 1 + pair // 5 % 4) % 5]
        lines += [f"{person}_{1 + pair // 10:0{digits}d}.jpg 0" for person in (a, b)]
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize(
    ("name", "images", "suffix"),
    [
        ("pairs_CALFW.txt", "aligned images", ""),
        ("pairs_CPLFW.txt", "aligned images", ""),
        ("lists/CALFW_pairs.csv", "", ""),
        ("pairs.txt", "images", ""),
        ("pairs_CALFW.txt", "aligned images", "_0"),
        ("pairs_CPLFW.txt", "", "_0"),
    ],
)
def test_calfw_and_cplfw_as_released(tmp_path: Path, name: str, images: str, suffix: str) -> None:
    found = listed(released(tmp_path, name, images, suffix))
    assert sorted(found.images["identity"].unique()) == sorted(PEOPLE)
    assert found.images.groupby("identity").size().tolist() == [3] * 5
    assert found.pairs is not None
    assert found.pairs.groupby("fold")["genuine"].agg(["sum", "size"]).to_numpy().tolist() == [[2, 4]] * 10
    places = found.images["location"].str.rpartition("/")[2].to_numpy()
    first = found.pairs.iloc[0]
    assert [places[first[side]][:7] for side in ("image_a", "image_b")] == ["Al_Gore", "Al_Gore"]
    assert not [text for text in map(str, found.problems) if "left out" in text or "not used" in text]


def test_a_list_given_by_hand_and_people_sorted_into_folders(tmp_path: Path) -> None:
    root = released(tmp_path / "set", "pairs_CALFW.txt", "")
    for person in PEOPLE:
        (root / person).mkdir()
        for image in root.glob(f"{person}_*.jpg"):
            image.rename(root / person / image.name)
    by_itself = listed(root)
    (root / "pairs_CALFW.txt").rename(tmp_path / "any name.lst")
    by_hand = listed(root, pair_list=str(tmp_path / "any name.lst"))
    for found in (by_itself, by_hand):
        assert sorted(found.images["identity"].unique()) == sorted(PEOPLE)
        assert found.pairs is not None
        assert len(found.pairs) == 40


def test_folders_that_are_no_people_give_way_to_names_and_list(tmp_path: Path) -> None:
    """A flat set cut into folders of a thousand: a genuine pair stands across two of them."""
    root = released(tmp_path, "pairs_CPLFW.txt", "")
    for place, image in enumerate(sorted(root.glob("*.jpg"))):
        (root / f"{place // 4:03d}").mkdir(exist_ok=True)
        image.rename(root / f"{place // 4:03d}" / image.name)
    found = listed(root)
    assert sorted(found.images["identity"].unique()) == sorted(PEOPLE)
    assert found.pairs is not None
    assert len(found.pairs) == 40


AGEDB = [
    f"{n}_{person}_{20 + n}_{'mf'[p % 2]}"
    for p, person in enumerate(("JohnDoe", "MariaCallas"))
    for n in (3 * p, 3 * p + 1, 3 * p + 2)
]


@pytest.mark.parametrize("how", ["mat", "two lines", "labelled"])
def test_agedb_as_released(tmp_path: Path, how: str) -> None:
    """index_Name_age_gender.jpg; names in lists may lack their ending."""
    for number, name in enumerate(AGEDB):
        face(tmp_path / f"{name}.jpg", number, px=24)
    pairs = [(AGEDB[0], AGEDB[1], 1), (AGEDB[3], AGEDB[5], 1), (AGEDB[0], AGEDB[3], 0), (AGEDB[2], AGEDB[4], 0)]
    if how == "mat":
        names = np.empty((2, 4), dtype=object)
        names[0], names[1] = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
        fold = np.zeros((1, 1), dtype=[("cell", object), ("labels", object)])
        fold[0, 0] = (names, np.array([[1, 1, -1, -1]]))
        splits = np.empty((1, 1), dtype=object)
        splits[0, 0] = fold
        savemat(tmp_path / "04_FINAL_protocol_30_years.mat", {"splits": splits})
    elif how == "two lines":
        (tmp_path / "agedb_pairs.txt").write_text("".join(f"{a}.jpg {t}\n{b}.jpg {t}\n" for a, b, t in pairs))
    else:
        (tmp_path / "agedb_30_pairs.csv").write_text("".join(f"{a}.jpg,{b}.jpg,{t}\n" for a, b, t in pairs))
    found = listed(tmp_path, attribute="gender")
    assert found.images["identity"].tolist() == ["JohnDoe"] * 3 + ["MariaCallas"] * 3
    assert found.images["attribute.age"].tolist() == ["20", "21", "22", "23", "24", "25"]
    assert found.images["group"].tolist() == ["m"] * 3 + ["f"] * 3
    assert found.pairs is not None
    assert sorted(found.pairs["genuine"].tolist()) == [False, False, True, True]


def test_names_that_tell_nothing_leave_it_to_the_list(tmp_path: Path) -> None:
    """a = b, b = c are one person; d is in an impostor pair only."""
    for number, name in enumerate("abcd"):
        face(tmp_path / f"{name}{name}.png", number, px=24, kind="PNG")
    with pytest.raises(FairLabError, match=r"do not give the identity, e\.g\. 'aa\.png'.*identity_pattern.*pair_list"):
        listed(tmp_path)
    (tmp_path / "pairs.csv").write_text("aa.jpg,bb.jpg,1\nbb.jpg,cc.jpg,1\naa.jpg,dd.jpg,0\n")
    found = listed(tmp_path)
    assert found.images["identity"].tolist() == ["aa", "aa", "aa", "dd"]


def test_names_that_the_list_contradicts_are_not_believed(tmp_path: Path) -> None:
    """img_0001 and img_0002 are no two pictures of a person called img."""
    for number in range(1, 5):
        face(tmp_path / f"img_{number:04d}.jpg", number, px=24)
        face(tmp_path / f"pic_{number:04d}.jpg", 10 + number, px=24)
    (tmp_path / "pairs.csv").write_text("img_0001.jpg,pic_0001.jpg,1\nimg_0001.jpg,img_0002.jpg,0\n")
    found = listed(tmp_path)
    assert found.images["identity"].nunique() == 7
    assert any("inferred from" in note for note in found.notes)


def test_several_lists_are_named_and_none_is_guessed(tmp_path: Path) -> None:
    root = released(tmp_path, "pairs_CALFW.txt", "")
    (root / "pairs_hard.txt").write_bytes((root / "pairs_CALFW.txt").read_bytes())
    (root / "pairs_other.txt").write_text("x.jpg,y.jpg,1\n")
    found = listed(root)
    assert found.pairs is None
    assert "several lists of pairs are next to the images; none was used (pairs_CALFW.txt, pairs_hard.txt)" in said(
        found
    )
    assert "pairs_other.txt was not used as a list of pairs: it names none of these images" in said(found)


def test_a_name_with_another_folder_is_not_that_file(tmp_path: Path) -> None:
    """a/1.jpg is not b/1.jpg, although 1.jpg is there once; a name in two folders is nobody's."""
    face(tmp_path / "b" / "1.jpg", 1, px=24)
    face(tmp_path / "b" / "2.jpg", 2, px=24)
    face(tmp_path / "c" / "2.jpg", 3, px=24)
    (tmp_path / "pairs.csv").write_text("a/1.jpg,b/2.jpg,0\n2.jpg,1.jpg,0\nb/1.jpg,c/2.jpg,0\n")
    found = listed(tmp_path)
    assert found.pairs is not None
    assert found.pairs[["image_a", "image_b"]].to_numpy().tolist() == [[0, 2]]
    assert "left out: 2 (line 1, line 2)" in said(found)


@pytest.mark.parametrize(
    ("folders", "right"),
    [
        (("train/n1", "test/n2"), {"train": {"n1"}, "test": {"n2"}}),
        (("Train_aligned_112/n1", "VGG-Face2_test/n2"), {"train": {"n1"}, "test": {"n2"}}),
        (
            ("training/A/m.1", "val/A/m.2", "testing/B/m.3"),
            {"train": {"A/m.1"}, "validation": {"A/m.2"}, "test": {"B/m.3"}},
        ),
        (("A/train/m.1", "A/dev/m.2", "B/train/m.3"), {"train": {"A/m.1", "B/m.3"}, "validation": {"A/m.2"}}),
        (("test/n1", "test/n2"), {"test": {"n1", "n2"}}),
        (("set/train/n1", "set/test/n1"), {"train": {"n1"}, "test": {"n1"}}),
    ],
)
def test_folders_called_train_and_test_are_parts(
    tmp_path: Path, folders: tuple[str, ...], right: dict[str, set[str]]
) -> None:
    for number, folder in enumerate(folders):
        for image in range(2):
            face(tmp_path / folder / f"{image}.jpg", 10 * number + image, px=24)
    found = listed(tmp_path)
    people = {part: set(rows["identity"]) for part, rows in found.images.groupby("split")}
    assert people == right
    assert ("identities with images in several parts" in said(found)) == (folders[0] == "set/train/n1")
    read = reader("folders").opener(tmp_path, found.images["location"].tolist())
    assert all(read(row)[:2] == b"\xff\xd8" for row in range(len(found.images)))


def test_people_and_groups_whose_names_hold_such_words_are_none(tmp_path: Path) -> None:
    assert [part_of(name) for name in ("val2017", "Dev_Patel", "African", "train_val", "contest")] == [
        "validation", "validation", "", "", "",
    ]  # fmt: skip
    for number, person in enumerate(("Dev_Patel", "Test_Person")):
        for image in range(2):
            face(tmp_path / person / f"{image}.jpg", 10 * number + image, px=24)
    found = listed(tmp_path)
    assert "split" not in found.images
    assert sorted(found.images["identity"].unique()) == ["Dev_Patel", "Test_Person"]


@pytest.mark.parametrize("stray", ["A/broken.png", "B/zz.jpg", "A/m.00/deeper/0.jpg", "0.jpg"])
def test_the_depth_is_that_of_most_images(tmp_path: Path, stray: str) -> None:
    """One file at another depth is left out and named, wherever it sorts."""
    root = grouped(tmp_path, px=24)
    face(root / stray, 1, px=24)
    found = listed(root)
    assert len(found.images) == 12
    assert sorted(found.images["group"].unique()) == ["A", "B"]
    assert f"images at another depth, left out: 1 ({stray})" in said(found)


def test_a_template_reads_names_and_says_what_it_left_out(tmp_path: Path) -> None:
    for number, name in enumerate(("25_0_Asian_Al Gore-1", "31_1_Indian_Bo-22", "x")):
        face(tmp_path / f"{name}.JPG", number, px=24)
    found = listed(tmp_path, identity_pattern="{age}_{gender}_{group}_{identity}-{number}", attribute="age")
    assert found.images["identity"].tolist() == ["Asian/Al Gore", "Indian/Bo"]
    assert found.images["group"].tolist() == ["25", "31"]
    assert found.images["attribute.gender"].tolist() == ["0", "1"]
    assert "images whose name does not give the identity, left out: 1 (x.JPG)" in said(found)
    assert found.names == "25_0_Asian_Al Gore-1.JPG is Asian/Al Gore, 31_1_Indian_Bo-22.JPG is Indian/Bo"
    by_number = listed(tmp_path, identity_pattern="{age}_{gender}_{race}_{_}")
    assert by_number.images["identity"].nunique() == 2
    assert by_number.attribute == "race"


@pytest.mark.parametrize(
    ("template", "name", "right"),
    [
        ("{identity}_{number}", "a/Al_Gore_0001.jpg", "Al_Gore"),
        ("{identity}_{number}_0", "Al_Gore_0001_0.png", "Al_Gore"),
        ("{group}/{identity}_{number}", "set/Asian/m.1_2.jpg", "m.1"),
        ("{_}-{identity}", "cam-3-x.jpg", "3-x"),
        ("{identity}", "x.y.jpg", "x.y"),
        ("{identity}", "m.01", "m.01"),
    ],
)
def test_templates(template: str, name: str, right: str) -> None:
    assert by_template(template, [name]).fields["identity"].tolist() == [right]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("(?P<identity>.+)_", "has no words in braces"),
        ("{identity}{number}", "needs a separator between {identity} and {number}"),
        ("{identity}_{identity}", "has the word 'identity' twice"),
        ("{a b}", "has no word in {a b}"),
        ("{identity}_{", "has an unmatched brace"),
        ("_".join(f"{{a{n}}}" for n in range(11)), "more than 10 words"),
    ],
)
def test_a_template_that_is_none_is_said(template: str, words: str) -> None:
    with pytest.raises(FairLabError, match=r"expected .*\{identity\}_\{number\}") as refusal:
        compiled(template)
    assert words in str(refusal.value)


def test_no_name_makes_a_template_slow() -> None:
    """Names of the longest kind, nearly right: patterns of regular expressions can take ages on such."""
    hostile = ["a_" * 125 + "!", "_" * 255, "1_" * 127, "a" * 255]
    template = "{a}_{identity}_{b}_{c}_{d}_{e}_{f}_{g}_{h}-{number}"
    for name in hostile:
        with pytest.raises(FairLabError, match="matches no image name"):
            by_template(template, [f"{name}.jpg"] * 200)
        by_custom([f"{name}.jpg"] * 200)


def test_the_zip_of_cplfw_has_every_image_twice(tmp_path: Path) -> None:
    """`images` as photographed and `aligned images`, with `landmarks` beside: five people, not the two folders."""
    released(tmp_path / "cplfw", "pairs_CPLFW.txt")
    released(tmp_path / "cplfw", "pairs_CPLFW.txt", images="images")
    (tmp_path / "cplfw" / "landmarks").mkdir()
    (tmp_path / "cplfw" / "landmarks" / "Al_Gore_1_5loc_attri.txt").write_text("1 2\n")
    found = listed(tmp_path / "cplfw")
    assert set(found.images["identity"]) == set(PEOPLE)
    assert found.images["location"].str.startswith("aligned images/").all()
    assert found.pairs is not None
    assert found.pairs["genuine"].sum() == 20
    assert "images outside the folder of aligned ones, left out: 15" in said(found)
    (tmp_path / "cplfw" / "aligned images").rename(tmp_path / "cplfw" / "photos")
    with pytest.raises(FairLabError, match=r"several kinds of folders \(images, photos\); name the right one"):
        listed(tmp_path / "cplfw")


def test_a_part_that_the_archives_name_says_again_is_no_group(tmp_path: Path) -> None:
    """vggface2_train.tar.gz and vggface2_test.tar.gz, each unpacked into a folder of its name."""
    for part, people in (("train", ("n000002", "n000003")), ("test", ("n000001", "n000009"))):
        for number, person in enumerate(people):
            face(tmp_path / "vgg" / f"vggface2_{part}" / part / person / "0001_01.jpg", number + len(part), px=24)
    found = listed(tmp_path / "vgg")
    assert found.images["group"].nunique() == 1
    assert dict(zip(found.images["identity"], found.images["split"], strict=True)) == {
        "n000001": "test", "n000009": "test", "n000002": "train", "n000003": "train",
    }  # fmt: skip


def test_vggface2s_table_of_people_says_their_gender(tmp_path: Path) -> None:
    """identity_meta.csv as released: `Class_ID`, and a blank before every cell."""
    for person in ("n000001", "n000002", "n000003"):
        face(tmp_path / "train" / person / "0001_01.jpg", int(person[1:]), px=24)
    table = tmp_path / "identity_meta.csv"
    table.write_text(
        'Class_ID, Name, Sample_Num, Flag, Gender\nn000001, "14th_Dalai_Lama", 424, 0, m\n'
        'n000002, "A_Fine_Frenzy", 315, 1, f\nn000003, "Gill, A. A.", 205, 1, m\n'
    )
    found = listed(tmp_path, groups_table=str(table), attribute="gender")
    assert found.images["group"].tolist() == ["m", "f", "m"]


def test_an_accent_written_apart_is_the_same_letter(tmp_path: Path) -> None:
    """macOS writes names of files with letter and accent apart, tables have one character."""
    apart, together = unicodedata.normalize("NFD", "Zoë"), "Zoë"
    for number, person in enumerate((apart, "Bo")):
        for image in (1, 2):
            face(tmp_path / "faces" / person / f"{person}_{image:04d}.jpg", 10 * number + image, px=24)
    (tmp_path / "groups.csv").write_text(f"identity,group\n{together},A\nBo,B\n", encoding="utf-8")
    (tmp_path / "faces" / "pairs.txt").write_text(f"1\t1\n{together}\t1\t2\n{together}\t1\tBo\t1\n", encoding="utf-8")
    found = listed(tmp_path / "faces", groups_table=str(tmp_path / "groups.csv"))
    assert sorted(found.images["group"]) == ["A", "A", "B", "B"]
    assert found.pairs is not None
    assert found.pairs["genuine"].tolist() == [True, False]


def test_a_cell_with_a_line_break_is_called_that(tmp_path: Path) -> None:
    face(tmp_path / "faces" / "a" / "1.jpg", 1, px=24)
    (tmp_path / "groups.csv").write_text('identity,group\n"a","A\nB"\n')
    with pytest.raises(
        FairLabError, match=r"groups\.csv, line 2: the quotes are wrong: one is not closed .*line breaks"
    ):
        listed(tmp_path / "faces", groups_table=str(tmp_path / "groups.csv"))


@pytest.mark.parametrize("other", ["A\u200b", "A ", "A\u2060", " A", "A\ufeff", "A\u00a0"])
def test_groups_that_nobody_can_tell_apart_are_refused(other: str) -> None:
    assert "look alike" in fault_among(["A", "B", other])
    assert fault_among(["A", "B", "a", "Zoë", "👩‍🔬", "👩🔬"[:1]]) == ""


def test_scores_of_two_groups_that_look_alike_are_refused() -> None:
    table = pd.DataFrame({"score": [0.1, 0.9], "label": [0, 1], "group": ["A", "A\u200b"]})
    with pytest.raises(FairLabError, match=r"two groups look alike .*'A\\u200b'"):
        scored_pairs(table)
