"""From embeddings to scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import fused, pair_scores, scores

IDS = np.array([3, 5, 9, 20])
RANDOM = np.random.default_rng(0)
RAW, RAW_FLIP = RANDOM.normal(size=(2, 4, 6))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pairs_of(*pairs: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["image_a", "image_b"]).assign(pair_id=np.arange(len(pairs)) + 100)


def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return fused(unit(first), np.linalg.norm(first, axis=1), unit(second), np.linalg.norm(second, axis=1))


def test_both_views_are_added_as_raw_outputs() -> None:
    """A long output weighs more than a short one: the mean of the unit vectors would be another direction."""
    assert both(RAW, RAW_FLIP) == pytest.approx(unit(RAW + RAW_FLIP), abs=1e-12)
    assert not np.allclose(both(RAW, RAW_FLIP), unit(unit(RAW) + unit(RAW_FLIP)), atol=1e-3)


def test_mirroring_all_images_changes_nothing() -> None:
    assert both(RAW, RAW_FLIP) == pytest.approx(both(RAW_FLIP, RAW), abs=1e-12)


def test_a_face_whose_views_cancel_is_no_number_out_of_nothing() -> None:
    """The sum is zero, so the score with anybody is 0, not NaN."""
    assert both(RAW, -RAW) == pytest.approx(np.zeros_like(RAW), abs=1e-3)


def test_a_score_is_the_cosine_of_the_two_images_named() -> None:
    found = pair_scores(unit(RAW), IDS, pairs_of((3, 9), (20, 5), (5, 5)))
    wanted = [unit(RAW)[0] @ unit(RAW)[2], unit(RAW)[3] @ unit(RAW)[1], 1.0]
    assert found == pytest.approx(wanted, abs=1e-12)
    assert found.dtype == np.float64


def test_sides_do_not_matter_and_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swapped sides score alike to the bit; so does a list cut into blocks of three."""
    random = np.random.default_rng(1)
    pairs = pairs_of(*random.choice(IDS, (20, 2)))
    whole = pair_scores(unit(RAW), IDS, pairs)
    assert (
        pair_scores(unit(RAW), IDS, pairs.rename(columns={"image_a": "image_b", "image_b": "image_a"})) == whole
    ).all()
    monkeypatch.setattr(scores, "CHUNK", 3)
    assert pair_scores(unit(RAW), IDS, pairs) == pytest.approx(whole, abs=1e-15)


@pytest.mark.parametrize("tile", [(1024, 8192), (3, 2), (1, 1)])
def test_many_pairs_of_few_images_are_scored_by_tiles(monkeypatch: pytest.MonkeyPatch, tile: tuple[int, int]) -> None:
    """Each side's own vectors and ids, tiles of any size; many images of which few are compared are looked up."""
    random = np.random.default_rng(2)
    ids, vectors = np.arange(0, 60, 3), unit(random.normal(size=(20, 6)))
    pairs = pairs_of(*zip(random.choice(ids, 50), random.choice(IDS, 50), strict=True))
    wanted = [vectors[a // 3] @ unit(RAW)[IDS.tolist().index(b)] for a, b in pairs[["image_a", "image_b"]].to_numpy()]
    monkeypatch.setattr(scores, "MANY", 10)
    monkeypatch.setattr(scores, "TILE", tile)
    monkeypatch.setattr(scores, "CHUNK", None)  # it would fail there
    assert scores.cross_scores(vectors, ids, unit(RAW), IDS, pairs) == pytest.approx(wanted, abs=1e-12)
    monkeypatch.setattr(scores, "CHUNK", 8)
    monkeypatch.setattr(scores, "TILE", None)
    ids, vectors = np.arange(400), unit(random.normal(size=(400, 6)))
    found = pair_scores(vectors, ids, pairs_of(*((2 * n, 2 * n + 1) for n in range(200))))
    assert found == pytest.approx((vectors[::2] * vectors[1::2]).sum(1), abs=1e-12)


@pytest.mark.parametrize("image", [0, 4, 21])
def test_an_image_without_embedding_is_named(image: int) -> None:
    with pytest.raises(FairLabError, match=f"pair 101 names image {image}, which has no embedding"):
        pair_scores(unit(RAW), IDS, pairs_of((3, 9), (3, image)))


def test_an_embedding_that_is_no_number_is_named() -> None:
    spoilt = unit(RAW).copy()
    spoilt[2, 1] = np.nan
    with pytest.raises(FairLabError, match="pair 101 has no finite score"):
        pair_scores(spoilt, IDS, pairs_of((3, 5), (9, 3)))


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (IDS[::-1], "strictly increasing"),
        (np.array([3, 3, 9, 20]), "strictly increasing"),
        (IDS[:3], "4 embeddings for 3 image ids"),
    ],
)
def test_ids_that_cannot_be_looked_up_are_refused(ids: np.ndarray, said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        pair_scores(unit(RAW), ids, pairs_of((3, 9)))
