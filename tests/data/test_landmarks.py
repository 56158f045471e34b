"""Points of no face are named and counted by group; faces in every pose, tilt and size stay faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data import landmarks
from fairlab.data.align import TEMPLATE_112
from fairlab.data.landmarks import faults, judged, sentence
from fairlab.data.listing import Listing
from fairlab.jobs.data.adding import dry_run
from fairlab.settings.study import Source
from tests.data.test_align import turned
from tests.data.trees import rfw

FACE = TEMPLATE_112 * 1.3 + 20
"""In a picture of 180 pixels."""
NONE = {
    "zeros": (np.zeros((5, 2)), landmarks.EQUAL),
    "minus one": (-np.ones((5, 2)), landmarks.EQUAL),
    "all the same": (np.full((5, 2), 90.0), landmarks.EQUAL),
    "an eye at 0": (np.vstack([[[0, 0]], FACE[1:]]), landmarks.EQUAL),
    "none": (np.full((5, 2), np.nan), landmarks.MISSING),
    "one nan": (np.vstack([FACE[:4], [[np.nan, 5]]]), landmarks.MISSING),
    "infinite": (np.vstack([FACE[:4], [[np.inf, 5]]]), landmarks.MISSING),
    "a line": (np.column_stack([np.linspace(30, 150, 5), np.full(5, 90.0)]), landmarks.NO_FACE),
    "far out": (FACE + 2000, landmarks.OUTSIDE),
    "left of it": (FACE - [170, 0], landmarks.OUTSIDE),
    "eyes and mouth swapped": (FACE[[1, 0, 2, 4, 3]], landmarks.MIRRORED),
    "eyes swapped": (FACE[[1, 0, 2, 3, 4]], landmarks.MIRRORED),
    "mouth swapped": (FACE[[0, 1, 2, 4, 3]], landmarks.MIRRORED),
    "y before x": (FACE[:, ::-1], landmarks.MIRRORED),
    "y from below": (FACE * [1, -1] + [0, 180], landmarks.MIRRORED),
    "mouth first": (FACE[[3, 4, 2, 0, 1]], landmarks.MIRRORED),
    "backwards": (FACE[::-1], landmarks.UPSIDE_DOWN),
    "fractions": (FACE / 180, landmarks.FRACTIONS),
    "tiny": (TEMPLATE_112 * 0.05 + 90, landmarks.SMALL),
}


@pytest.mark.parametrize("name", list(NONE))
def test_points_of_no_face_are_named(name: str) -> None:
    points, why = NONE[name]
    assert landmarks.REASONS[faults(points[None], np.array([[180.0, 180.0]]))[0]] == why


@pytest.mark.parametrize("pitch", [-45, -20, 0, 20, 45])
def test_faces_in_every_pose_are_faces(pitch: float) -> None:
    """Profiles on both sides, tilts up to lying on the side and beyond, faces of 8 to 300 pixels, points off by 3 %."""
    random = np.random.default_rng(abs(pitch))
    for yaw in range(-90, 91, 15):
        for roll in (-90, -30, 0, 45, 90):
            for scale in (4.0, 20.0, 120.0):
                faces = turned(yaw, pitch, roll, scale) + random.normal(0, 0.03 * scale, (20, 5, 2))
                assert not faults(faces + 300, np.full((20, 2), 600.0)).any(), (yaw, roll, scale)


def test_points_a_little_outside_belong_to_a_tight_crop() -> None:
    """The mouth 20 pixels below a picture of 180 pixels, an eye 20 pixels left of it; of a size that nobody knows, too."""
    points = np.stack([FACE + np.array([0, 60]), FACE - [89, 0], FACE + 5000])
    sizes = np.array([[180.0, 180.0], [180.0, 180.0], [np.nan, np.nan]])
    assert faults(points, sizes).tolist() == [0, 0, 0]


def test_they_are_counted_by_group_and_reason() -> None:
    images = pd.DataFrame({"location": list("abcdef"), "group": ["x", "x", "y", "y", "y", "z"], "identity": "i"})
    points = np.stack([FACE, FACE * 0, FACE / 180, FACE, FACE * np.nan, FACE + 200])
    looked = pd.DataFrame({"row": [5], "readable": [True], "width": [180], "height": [180]})
    found = judged(Listing(images, "Group", None, points), looked)
    assert found.landmarks is not None
    assert np.isnan(found.landmarks).all(axis=(1, 2)).tolist() == [False, True, True, False, True, True]
    assert found.without["groups"] == {
        "x": {"without": 1, "of": 2},
        "y": {"without": 2, "of": 3},
        "z": {"without": 1, "of": 1},
    }
    assert found.without["reasons"] == dict.fromkeys(
        (landmarks.MISSING, landmarks.EQUAL, landmarks.FRACTIONS, landmarks.OUTSIDE), 1
    )
    assert "cropped in the middle: 4 (b, c, e, f); by group: x 1 of 2, y 2 of 3, z 1 of 1" in sentence(found.without)


def test_a_release_with_lost_faces_says_so(tmp_path: Path) -> None:
    """RFW as a detector leaves it that found nothing in one image of every person: 6 of 18 in each group."""
    rfw(tmp_path)
    for path in tmp_path.glob("test/txts/*/*_lmk.txt"):
        lines = path.read_text().splitlines()
        lost = ["\t".join([*line.split("\t")[:2], *["-1"] * 10]) if "_0001." in line else line for line in lines]
        path.write_text("\n".join(lost))
    found, listing = dry_run(Source(path=str(tmp_path)))
    assert {name: group["without"] for name, group in found["without_landmarks"]["groups"].items()} == dict.fromkeys(
        ("African", "Asian", "Caucasian", "Indian"), 6
    )
    assert any("cropped in the middle: 24" in text and "African 6 of 18" in text for text in found["problems"])
    assert listing.landmarks is not None
    assert np.isnan(listing.landmarks[0]).all()
