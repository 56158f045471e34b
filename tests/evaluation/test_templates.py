"""Templates by hand: few images whose vector can be written down."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import templates
from fairlab.evaluation.templates import template_vectors
from fairlab.tables import TEMPLATES


def table(*rows: tuple[int, int, int, float]) -> pd.DataFrame:
    """Rows (template, image, media, weight)."""
    return pd.DataFrame([(*row, str(row[0])) for row in rows], columns=list(TEMPLATES))


def views(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors in single precision, as they are stored, and norms."""
    norms = np.linalg.norm(raw, axis=1)
    return (raw / norms[:, None]).astype(np.float32), norms.astype(np.float32)


AXES = np.diag([2.0, 4.0, 6.0, 8.0])
"""Images 10, 11, 12, 13 along the four axes, of these lengths."""
IDS = np.array([10, 11, 12, 13])


def test_images_of_one_photograph_are_averaged_and_photographs_added() -> None:
    """(2 e0 + 4 e1) / 2 + 6 e2 = (1, 2, 6): a video of two frames counts once, and so less than a mean over all images."""
    found = template_vectors([views(AXES)], IDS, table((10, 10, 7, 1), (10, 11, 7, 1), (10, 12, 8, 1)))
    assert found == pytest.approx(np.array([[1, 2, 6, 0]]) / np.sqrt(41), abs=1e-6)


def test_a_detector_s_score_weighs_an_image_within_its_mean() -> None:
    """(0.5 x 2 e0 + 0.25 x 4 e1) / 2 + 6 e2: the mean is over images, not over scores."""
    found = template_vectors([views(AXES)], IDS, table((10, 10, 7, 0.5), (10, 11, 7, 0.25), (10, 12, 8, 1)))
    assert found == pytest.approx(np.array([[0.5, 0.5, 6, 0]]) / np.sqrt(36.5), abs=1e-6)


def test_both_views_are_added_as_raw_outputs() -> None:
    """Image 10 is (2,0,0,0) and mirrored (0,3,0,0); 13 is (0,0,0,8) and (0,0,0,1): (2,3,0,0) + (0,0,0,9)."""
    flip = np.array([[0, 3.0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    found = template_vectors([views(AXES), views(flip)], IDS, table((10, 10, 1, 1), (10, 13, 2, 1)))
    assert found == pytest.approx(np.array([[2, 3, 0, 9]]) / np.sqrt(94), abs=1e-6)


def test_media_of_the_same_number_in_two_templates_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in any order, templates by rising number, in blocks of any size."""
    rows = table((12, 13, 1, 1), (10, 11, 1, 1), (12, 12, 2, 1), (10, 10, 1, 1))
    wanted = np.array([[1, 2, 0, 0], [0, 0, 6, 8]]) / np.array([[np.sqrt(5)], [10]])
    for chunk in (8192, 3, 1):
        monkeypatch.setattr(templates, "CHUNK", chunk)
        assert template_vectors([views(AXES)], IDS, rows) == pytest.approx(wanted, abs=1e-6)


def test_the_rule_as_it_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the protocol's own words in plain loops: sum of views x score, mean per media, sum, length 1."""
    random = np.random.default_rng(0)
    raw, mirrored = random.normal(size=(2, 60, 5))
    template, media, weight = random.integers(0, 9, 60), random.integers(0, 3, 60), random.uniform(size=60)
    first = np.array([np.flatnonzero(template == name)[0] for name in range(9)])
    wanted = np.zeros((9, 5))
    for name in range(9):
        for source in range(3):
            of = (template == name) & (media == source)
            if of.any():
                wanted[name] += ((raw + mirrored)[of] * weight[of, None]).mean(0)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    rows = table(*zip(first[template].tolist(), range(60), media.tolist(), weight.tolist(), strict=True))
    monkeypatch.setattr(templates, "CHUNK", 7)
    found = template_vectors([views(raw), views(mirrored)], np.arange(60), rows)
    assert found == pytest.approx(wanted[np.argsort(first)], abs=1e-6)
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(10, 10, 1, 1), (10, 9, 1, 1)], "image 9 of a template has no embedding"),
        ([(10, 10, 1, 1), (10, 14, 1, 1)], "image 14 of a template has no embedding"),
        ([(10, 10, 1, 1), (12, 12, 1, 0)], "the template of image 12 has no direction"),
    ],
)
def test_what_cannot_be_is_one_sentence(rows: list[tuple[int, int, int, float]], said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        template_vectors([views(AXES)], IDS, table(*rows))
    with pytest.raises(FairLabError, match="image 10 of a template has no embedding"):
        template_vectors([(np.zeros((0, 4)), np.zeros(0))], np.zeros(0, int), table(*rows))
