"""The same photograph found again after re-encoding, and other photographs of the same person left alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.fft import dctn

from fairlab.data.demo.build import Studio, photograph
from fairlab.data.demo.people import draw_people
from fairlab.data.inspect import duplicates
from tests.benchmarks.overlap import copies, found

PEOPLE, EACH = 24, 4


@pytest.fixture(scope="module")
def faces(studio: Studio) -> np.ndarray:
    """(PEOPLE, EACH, 64, 64, 3): different photographs of people who do not exist, alike as aligned faces are."""
    people = draw_people(studio.factors, 3, ("A", "B"), "train", 0, PEOPLE // 2)
    return np.stack([photograph(studio, person, EACH, 64, 0.6) for person in people])


@pytest.fixture(scope="module")
def halves(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, duplicates.Reference]:
    """Thumbnails of every person's first and second half of photographs, and what all have in common."""
    train, test = (duplicates.thumbnails(faces[:, of].reshape(-1, 64, 64, 3)) for of in (slice(0, 2), slice(2, 4)))
    return train, test, duplicates.reference(np.concatenate([train, test]))


def test_re_encoded_photographs_are_found(faces: np.ndarray, halves: tuple[np.ndarray, ...]) -> None:
    """JPEG 30 to 95, PNG, WebP, 112 to 100 and back: at least 95 % of each, and each is the right one."""
    train, _, common = halves
    first = faces[:, :2].reshape(-1, 64, 64, 3)
    for name, made in list(copies(first))[:-1]:
        at_test, at_train = found(train, duplicates.thumbnails(made), common)
        assert len(set(at_test[at_test == at_train])) >= 0.95 * len(first), name
        assert (at_test == at_train).all(), name


def test_other_photographs_of_the_same_people_are_not_duplicates(halves: tuple[np.ndarray, ...]) -> None:
    train, test, common = halves
    at_test, _ = found(train, test, common)
    assert len(at_test) == 0


def test_every_hash_up_to_seven_bits_apart_is_met() -> None:
    """Against all distances counted one by one: nothing up to 7 bits is missed, nothing beyond NEAR is returned."""
    random = np.random.default_rng(0)
    train = random.integers(0, 2**64, 500, dtype=np.uint64)
    flips = [random.choice(64, count, replace=False) for count in range(13) for _ in range(10)]
    source = random.integers(0, 500, len(flips))
    test = np.array(
        [train[row] ^ np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64)) if len(bits) else train[row]
         for row, bits in zip(source, flips, strict=True)], np.uint64,
    )  # fmt: skip
    at_test, at_train = duplicates.candidates(train, test)
    got = set(zip(at_test.tolist(), at_train.tolist(), strict=True))
    distance = np.array([[bin(int(a) ^ int(b)).count("1") for b in train] for a in test])
    assert {tuple(pair) for pair in np.argwhere(distance <= 7).tolist()} <= got
    assert all(distance[pair] <= duplicates.NEAR for pair in got)


def test_only_the_nearest_candidates_of_an_image_are_kept() -> None:
    """Many equal training images must not make the second look endless; the nearest stay."""
    train = np.array([1] * 5 + [0] * 20, np.uint64)
    at_test, at_train = duplicates.candidates(train, np.zeros(1, np.uint64))
    assert at_test.tolist() == [0] * duplicates.MOST
    assert at_train.tolist() == list(range(5, 5 + duplicates.MOST))


def test_the_frequencies_are_those_of_the_dct() -> None:
    """Signs of the low block of scipy's DCT-II; bits are set above the median, so half of them for many images."""
    thumbs = np.random.default_rng(2).normal(size=(60, 32, 32)).astype(np.float32)
    zero = duplicates.Reference(np.zeros(64, np.float32), np.zeros((32, 32), np.float32))
    truth = dctn(thumbs, axes=(1, 2))
    bits = np.unpackbits(duplicates.hashes(thumbs, zero).view(np.uint8).reshape(60, 8), axis=1, bitorder="little")
    assert (bits[:, 0] == (truth[:, 0, 1] > 0)).all()
    assert (bits[:, 1] == (truth[:, 1, 0] > 0)).all()
    assert (bits[:, 3] == (truth[:, 1, 1] > 0)).all()
    balanced = duplicates.hashes(thumbs, duplicates.reference(thumbs))
    assert (np.unpackbits(balanced.view(np.uint8).reshape(60, 8), axis=1).sum(axis=0) == 30).all()


@pytest.mark.parametrize("px", [32, 48, 100, 112, 20])
def test_a_thumbnail_cell_is_the_mean_of_its_area(px: int) -> None:
    """A ramp stays a ramp, and grey is 0.299 R + 0.587 G + 0.114 B."""
    ramp = np.broadcast_to(np.arange(px, dtype=np.uint8)[None, None, :, None], (1, px, px, 3))
    thumb = duplicates.thumbnails(np.ascontiguousarray(ramp))[0]
    edges = np.linspace(0, px, 33)
    means = [(np.minimum(np.arange(px) + 1, b) - np.maximum(np.arange(px), a)).clip(0) @ np.arange(px) / (b - a)
             for a, b in itertools.pairwise(edges)]  # fmt: skip
    assert thumb[7] == pytest.approx(means, abs=1e-3)
    red = np.zeros((1, px, px, 3), np.uint8)
    red[..., 0] = 200
    assert duplicates.thumbnails(red)[0] == pytest.approx(np.full((32, 32), 59.8), abs=1e-3)


def test_images_without_structure_are_like_nothing() -> None:
    flat = np.full((2, 32, 32), 7, np.float32)
    zero = duplicates.reference(flat)
    assert duplicates.likeness(flat, flat, zero).tolist() == [0, 0]
