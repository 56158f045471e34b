from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab.data.demo import head as head_module
from fairlab.data.demo.head import around, load_head
from fairlab.data.demo.raster import HAIR
from fairlab.errors import Damaged, FairLabError


def test_the_eyes_are_one_unit_apart() -> None:
    """Lengths are in units of the distance between the eyes; the picture's left eye comes first, as in the
    template.
    """
    head = load_head()
    left, right, nose, mouth_left, mouth_right = (head.mean[which].mean(0) for which in head.landmarks)
    assert right - left == pytest.approx([1, 0, 0], abs=1e-4)
    assert mouth_left[0] < nose[0] + 1e-6 < mouth_right[0] + 2e-6
    assert left[1] > nose[1] > mouth_left[1]
    assert nose[2] == pytest.approx(head.mean[:, 2].max(), abs=0.02)


def test_targets_carry_their_natural_spread() -> None:
    """The largest shift of a target is its scale in the file times the spread of its region."""
    head = load_head()
    with np.load(head_module.asset("demo/head_basis.npz"), allow_pickle=False) as basis:
        scale = basis["Bs"]
    for name, spread in (("head-oval", 0.16), ("nose-hump", 0.38), ("macro-sex", 0.8), ("mouth-trans", 0.15)):
        which = head.names.index(name)
        assert np.abs(head.targets[which]).max() == pytest.approx(scale[which] * spread, rel=1e-4)


def test_the_hair_follows_the_skull() -> None:
    """Every hair vertex hangs on a vertex of the outer skin at the sides or back, and only hair triangles use
    them.
    """
    head = load_head()
    assert head.skin[head.anchor].all()
    assert np.abs(around(head.mean[head.anchor])).min() > np.radians(60)
    hair = head.triangles[head.part == HAIR]
    assert hair.min() >= len(head.mean)
    assert hair.max() == len(head.mean) + len(head.anchor) - 1
    assert head.triangles[head.part != HAIR].max() < len(head.mean)
    assert len(head.uv) == len(head.masks) == len(head.mean) + len(head.anchor)


def test_normals_point_outwards() -> None:
    """On the outer skin of the face and skull, away from the head's axis."""
    head = load_head()
    out = head.mean - [0, -0.3, -1.0]
    cosine = (out * head.normals).sum(1) / np.linalg.norm(out, axis=1)
    assert np.median(cosine[head.skin]) > 0.7
    assert np.linalg.norm(head.normals[head.skin], axis=1) == pytest.approx(1.0, abs=1e-4)


def test_a_broken_or_missing_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file."""
    broken = tmp_path / "head_basis.npz"
    broken.write_bytes(b"PK\x03\x04 not an archive")
    monkeypatch.setattr(head_module, "asset", lambda _name: broken)
    with pytest.raises(FairLabError, match="head_basis") as caught:
        load_head.__wrapped__()
    assert isinstance(caught.value, Damaged)
