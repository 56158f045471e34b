"""IJB-B and IJB-C as insightface releases them: what a user's folder becomes, and what is wrong with it by line."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from fairlab.data.enrolment import sentence
from fairlab.data.listing import Listing, detect_kind, reader
from fairlab.data.readers.ijb_lists import MEMBERS, PAIRS, POINTS
from fairlab.errors import FairLabError, Stopped
from fairlab.settings.study import Source
from tests.data.trees import IJB_GENUINE, IJB_TEMPLATES, LMK, face, ijb


def listed(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return reader("ijb").listing(path, source, lambda _d, _t: None, lambda: False)


def lines_of(root: Path, ending: str) -> list[str]:
    return (root / "meta" / f"ijbb{ending}").read_text().splitlines()


def rewrite(root: Path, ending: str, lines: list[str]) -> None:
    (root / "meta" / f"ijbb{ending}").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("below", ["", "IJBB", "ijb/IJBB"])
def test_a_release_is_found_and_told_apart(tmp_path: Path, below: str) -> None:
    ijb(tmp_path / below)
    kind, why = detect_kind(tmp_path)
    assert (kind, why) == ("ijb", f"lists of templates in {tmp_path / below / 'meta'}")
    assert len(listed(tmp_path).images) == 17


def test_templates_are_images_with_their_media_and_scores(tmp_path: Path) -> None:
    """In the order of the list: 7 has images 1, 2 and 3, 3 has 4, and so on."""
    found = listed(ijb(tmp_path))
    table = found.templates
    assert table is not None
    assert found.images["location"].tolist() == [f"{n}.jpg" for n in range(1, 18)]
    assert table["name"].value_counts(sort=False).to_dict() == {str(k): sum(v) for k, v in IJB_TEMPLATES.items()}
    assert table["template"].tolist()[:5] == [0, 0, 0, 3, 4]
    assert table["media"].tolist()[:5] == [700, 700, 701, 300, 1200]
    assert table["image_id"].tolist() == list(range(17))
    assert table["weight"].to_numpy() == pytest.approx(0.5 + np.arange(1, 18) / 100)
    assert found.landmarks is not None
    assert found.landmarks[4] == pytest.approx(LMK / 2 + [0.5, 0], abs=6e-4)
    assert found.notes[0] == "ijbb: 8 templates of 17 images, compared 16 times"
    read = reader("ijb").opener(tmp_path, found.images["location"].tolist())
    assert read(16) == (tmp_path / "loose_crop" / "17.jpg").read_bytes()


def test_pairs_name_templates_and_people_are_what_genuine_pairs_join(tmp_path: Path) -> None:
    """Templates 7 and 12 are never compared, but 3 is the same person as either; 40 is in no genuine pair."""
    found = listed(ijb(tmp_path))
    pairs, table = found.pairs, found.templates
    assert pairs is not None
    assert table is not None
    name = table.drop_duplicates("template").set_index("template")["name"].astype(int)
    pair = list(zip(name[pairs["image_a"]], name[pairs["image_b"]], strict=True))
    assert tuple(pair[:4]) == IJB_GENUINE
    assert pairs["genuine"].tolist() == [True] * 4 + [False] * 12
    assert pair[-1] == (40, 31)
    who = found.images["identity"].to_numpy()
    by_template = {int(n): set(who[(table["name"] == str(n)).to_numpy()]) for n in IJB_TEMPLATES}
    assert by_template == {7: {"3"}, 3: {"3"}, 12: {"3"}, 20: {"5"}, 5: {"5"}, 31: {"8"}, 8: {"8"}, 40: {"40"}}
    assert found.notes[1] == "4 people, inferred from genuine pairs"
    assert ((who[pairs["image_a"]] == who[pairs["image_b"]]) == pairs["genuine"]).all()
    together = {}
    for a, b, fold in zip(who[pairs["image_a"]], who[pairs["image_b"]], pairs["fold"], strict=True):
        together.setdefault(frozenset((a, b)), set()).add(fold)
    assert all(len(folds) == 1 for folds in together.values())


def test_groups_come_from_a_table_of_people_or_of_images(tmp_path: Path) -> None:
    root = ijb(tmp_path / "ijb")
    assert set(listed(root).images["group"]) == {"everyone"}
    people = tmp_path / "people.csv"
    people.write_text("identity,skin\n3,light\n5,dark\n8,dark\n40,light\n")
    found = listed(root, groups_table=str(people))
    assert found.pairs is not None
    assert found.attribute == "skin"
    counts = found.pairs.groupby("group", observed=True)["genuine"].agg(["sum", "size"])
    assert counts.to_numpy().tolist() == [[2, 4], [2, 4], [0, 8]]
    assert counts.index.tolist() == ["dark", "light", "across groups"]
    images = tmp_path / "images.csv"
    values = ["dark" if n == 2 else "light" for n in range(1, 18)]  # template 7 has images 1, 2 and 3
    images.write_text("image,skin\n" + "".join(f"{n}.jpg,{value}\n" for n, value in enumerate(values, 1)))
    found = listed(root, groups_table=str(images))
    assert found.pairs is not None
    assert set(found.pairs["group"]) == {"light"}
    assert [str(item) for item in found.problems] == [
        "templates with images of several groups, assigned to the most frequent one: 1 (7)"
    ]


def test_what_is_missing_or_too_much_is_counted(tmp_path: Path) -> None:
    root = ijb(tmp_path)
    (root / "loose_crop" / "2.jpg").unlink()
    face(root / "loose_crop" / "99.jpg", 1)
    (root / "loose_crop" / "notes.txt").write_text("x")
    rewrite(root, POINTS, [*lines_of(root, POINTS), "88.jpg " + " ".join(["1"] * 11)])
    found = listed(root)
    assert [str(item) for item in found.problems] == [
        "files that are not images, left out: 1 (notes.txt)",
        "images of ijbb_face_tid_mid.txt that are not in loose_crop, left out: 1 (2.jpg)",
        "images in loose_crop in no template, left out: 1 (99.jpg)",
        "rows of ijbb_name_5pts_score.txt in no template, left out: 1 (88.jpg)",
    ]
    assert len(found.images) == 16
    assert found.templates is not None
    assert found.templates["weight"].to_numpy()[:2] == pytest.approx([0.51, 0.53])


def test_a_file_in_capitals_is_the_one_of_the_list(tmp_path: Path) -> None:
    root = ijb(tmp_path)
    for path in (root / "loose_crop").glob("*.jpg"):
        path.rename(path.with_suffix(".JPG"))
    found = listed(root)
    assert (len(found.images), list(found.problems), found.unenrolled) == (17, [], {})
    read = reader("ijb").opener(root, found.images["location"].tolist())
    assert read(0) == (root / "loose_crop" / "1.JPG").read_bytes()


@pytest.mark.parametrize("how", ["score 0", "score -1", "missing"])
def test_a_template_without_a_face_is_a_failure_to_enrol(tmp_path: Path, how: str) -> None:
    """Template 3 (image 4.jpg) stands in 2 genuine and 4 impostor pairs of 16, which are counted and in no list.

    7 and 12 stay one person, though 3 held them together; template 7 goes on without its first image, which has no face.
    """
    root, points = ijb(tmp_path), lines_of(ijb(tmp_path / "other"), POINTS)
    points[0] = "1.jpg" + " -1" * 10 + " 0"
    if how == "missing":
        (root / "loose_crop" / "4.jpg").unlink()
    else:
        points[3] = "4.jpg" + " nan" * 10 + how.removeprefix("score")
    rewrite(root, POINTS, points)
    found = listed(root)
    why = (
        "none of its images is in loose_crop" if how == "missing" else f"all scores of its images in ijbb{POINTS} are 0"
    )
    assert found.unenrolled == {
        "what": "templates",
        "failed": 1,
        "of": 8,
        "names": {"3": why},
        "pairs": {"everyone": {"genuine": 2, "impostor": 4}},
    }
    assert sentence(found.unenrolled).startswith("Failures to enrol: 1 of 8 templates (12.50%): 3 (")
    assert found.pairs is not None
    assert found.templates is not None
    assert (len(found.pairs), int(found.pairs["genuine"].sum())) == (10, 2)
    assert "3" not in set(found.templates["name"])
    assert found.templates[found.templates["name"] == "7"]["weight"].to_numpy() == pytest.approx([0, 0.52, 0.53])
    who = dict(zip(found.templates["name"], found.images["identity"][found.templates["image_id"]], strict=True))
    assert who["7"] == who["12"]


WRONG = {
    "no points": (MEMBERS, 18, "77.jpg 7 700", "the image '77.jpg' has no points in ijbb_name_5pts_score.txt"),
    "an image twice": (MEMBERS, 18, "1.jpg 40 4000", "the image '1.jpg' is already in line 1"),
    "a short row": (MEMBERS, 3, "3.jpg 7", "2 fields, expected 3 fields"),
    "no number": (MEMBERS, 3, "3.jpg seven 701", "'seven' is not a number of 0 or more"),
    "a path out": (MEMBERS, 3, "../3.jpg 7 701", "'../3.jpg' is not a path inside the image folder"),
    "points twice": (POINTS, 18, "5.jpg " + "1 " * 11, "the image '5.jpg' is already in line 5"),
    "too few points": (POINTS, 2, "2.jpg 1 2 3 4 5", "6 fields, expected 12 fields"),
    "no point": (POINTS, 2, "2.jpg " + "x " * 11, "expected a name, x and y of five points, and a score"),
    "infinite": (POINTS, 2, "2.jpg inf" + " 1" * 10, "points must be finite numbers"),
    "a score below 0": (
        POINTS,
        2,
        "2.jpg" + " 1" * 10 + " -0.1",
        "points must be finite numbers (or nan), and the score one of 0",
    ),
    "unknown template": (PAIRS, 6, "3 99 0", "the template 99 has no image in ijbb_face_tid_mid.txt"),
    "itself": (PAIRS, 6, "3 3 1", "the template 3 is compared with itself"),
    "label": (PAIRS, 6, "3 8 2", "the label is 2; right is 1 (one person) or 0 (two)"),
    "contradiction": (PAIRS, 6, "12 7 0", "the templates 12 and 7 are listed as two people, but genuine pairs"),
    "no pair": (PAIRS, 6, "3 8", "'3 8' is not 3 whole numbers"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, name: str) -> None:
    ending, line, text, said = WRONG[name]
    root = ijb(tmp_path)
    lines = lines_of(root, ending)
    lines[line - 1 : line] = [text]
    rewrite(root, ending, lines)
    with pytest.raises(FairLabError) as caught:
        listed(root)
    assert f"ijbb{ending}, line {line}: {said}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [MEMBERS, POINTS, PAIRS])
def test_a_missing_list_is_named(tmp_path: Path, ending: str) -> None:
    (ijb(tmp_path) / "meta" / f"ijbb{ending}").unlink()
    assert detect_kind(tmp_path)[0] == "ijb"
    with pytest.raises(FairLabError, match=f"there is no .*ijbb{ending}; IJB's lists are"):
        listed(tmp_path)


def test_other_things_that_cannot_be_are_one_sentence(tmp_path: Path) -> None:
    """No images at all, two releases in one folder, pairs from elsewhere, a stop."""
    both = tmp_path / "both"
    ijb(both / "IJBB")
    ijb(both / "IJBC", "ijbc")
    with pytest.raises(
        FairLabError, match=r"holds several sets of lists .ijbb in .*, ijbc in .*; name the folder of one"
    ):
        listed(both)
    assert listed(both / "IJBC").notes[0].startswith("ijbc: 8 templates")
    with pytest.raises(FairLabError, match="cannot be replaced by a list"):
        listed(both / "IJBB", pair_list="x.txt")
    with pytest.raises(FairLabError, match="or used to choose a model"):
        listed(both / "IJBB", split="validation")
    with pytest.raises(Stopped):
        reader("ijb").listing(both / "IJBB", Source(path="x"), lambda _d, _t: None, lambda: True)
    rewrite(both / "IJBB", POINTS, [line.rpartition(" ")[0] + " 0" for line in lines_of(both / "IJBB", POINTS)])
    with pytest.raises(FairLabError, match=r"no template of .* can be compared: all scores of its images in"):
        listed(both / "IJBB")
    (both / "IJBC" / "loose_crop").rename(both / "elsewhere")
    with pytest.raises(FairLabError, match="IJBC has no folder loose_crop with the images of its lists"):
        listed(both / "IJBC")


@pytest.mark.parametrize("how", ["cut", "flip"])
@pytest.mark.parametrize("ending", [MEMBERS, POINTS, PAIRS])
def test_damaged_lists_are_read_or_refused_in_one_sentence(tmp_path: Path, ending: str, how: str) -> None:
    """60 cuts or changed bytes of each list: never another exception, never a pair of a template without images."""
    root = ijb(tmp_path)
    path = root / "meta" / f"ijbb{ending}"
    whole, rng, said = path.read_bytes(), random.Random(5), []
    for _ in range(60):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = listed(root)
        except FairLabError as error:
            said.append(str(error))
            continue
        assert found.pairs is not None
        assert found.templates is not None
        named = set(found.pairs["image_a"]) | set(found.pairs["image_b"])
        assert named <= set(found.templates["template"])
    assert said
    assert [text for text in said if "\n" in text or f"{root / 'meta' / 'ijbb'}_" not in text] == []
