"""Order and mirroring depend on nothing but seed, pass and row."""

from __future__ import annotations

import time
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairlab.training.extract import CHUNK, View, embed
from fairlab.training.loader import EmbeddingInputs, ImageInputs, ahead, flips, order, step_seed


def test_every_pass_visits_every_sample_once_in_another_order() -> None:
    first, second = order(3, 0, 101), order(3, 1, 101)
    assert sorted(first) == sorted(second) == list(range(101))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, order(3, 0, 101))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 5))
def test_balanced_draws_come_equally_often(classes: list[int], seed: int) -> None:
    """N draws over C classes: N // C each and one more for N % C of them; in a class its images likewise."""
    labels = np.array(classes)
    drawn = order(seed, 2, len(labels), labels)
    assert len(drawn) == len(labels)
    names, sizes = np.unique(labels, return_counts=True)
    each, rest = divmod(len(labels), len(names))
    counts = np.array([(labels[drawn] == name).sum() for name in names])
    assert sorted(counts) == [each] * (len(names) - rest) + [each + 1] * rest
    for name, size, count in zip(names, sizes, counts, strict=True):
        times = np.bincount(drawn, minlength=len(labels))[labels == name]
        assert sorted(times) == [count // size] * (size - count % size) + [count // size + 1] * (count % size)


def test_the_remainder_of_balanced_draws_is_chance() -> None:
    """Ten classes of one image, ten of two, in 30 draws: each class 1.5 times on average, over the passes."""
    labels = np.concatenate([np.arange(10), 10 + np.arange(20) // 2])
    counts = sum(np.bincount(labels[order(4, epoch, 30, labels)], minlength=20) for epoch in range(400))
    assert abs(counts / 400 - 1.5).max() < 0.1  # four standard deviations of a coin
    first, again, other = order(4, 0, 30, labels), order(4, 0, 30, labels), order(4, 1, 30, labels)
    assert first.tolist() == again.tolist() != other.tolist()
    assert first.tolist() != sorted(first)


def test_draws_do_not_touch_the_global_state() -> None:
    """A DataLoader iterator draws from it at every start, so a resumed run would differ."""
    before = torch.random.get_rng_state()
    order(0, 0, 10), flips(0, 0, 10), step_seed(0, 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_about_half_of_the_images_are_mirrored() -> None:
    share = flips(1, 0, 20_000).mean()
    assert abs(share - 0.5) < 0.015  # four standard deviations


def test_pixels_become_minus_one_to_one_and_mirror_left_to_right() -> None:
    pixels = np.zeros((2, 2, 3, 3), np.uint8)
    pixels[1, :, 0] = 255
    images = ImageInputs(pixels, np.array([1, 1, 0]))
    batch = images.batch(np.array([0, 1, 2]), np.array([False, True, False]))
    assert batch.shape == (3, 3, 2, 3)
    assert batch[0, 0, 0].tolist() == [1.0, -1.0, -1.0]
    assert batch[1, 0, 0].tolist() == [-1.0, -1.0, 1.0]
    assert batch[2].eq(-1).all()
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_mirrors_only_what_it_is_told_and_leaves_the_store_alone() -> None:
    """Rows in the order asked for; a mirrored one is reversed from left to right, not upside down; every level exact."""
    pixels = np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3)
    images = ImageInputs(pixels, np.array([2, 0, 1]))
    stored = images.stored(np.array([0, 1]), np.array([True, False])).numpy()
    assert (stored[0] == pixels[2][:, ::-1]).all()
    assert (stored[1] == pixels[0]).all()
    stored[:] = 0
    assert pixels[0].any()  # a copy, not a view
    levels = ImageInputs(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3), np.array([0]))
    floats = levels.batch(np.array([0]), np.array([False]))[0, 0].flatten().numpy()
    assert (floats == np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)).all()


def test_batches_made_ahead_come_in_order_and_a_fault_comes_out() -> None:
    """Two are made at a time, the earlier one slower: order is kept; an error of one reaches who asked for it."""

    def make(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        if number == 6:
            raise ValueError("six")
        return number

    coming = ahead(make, range(9), 3)
    assert list(islice(coming, 6)) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="six"):
        next(coming)


def test_teachers_stand_side_by_side_in_their_order() -> None:
    """The recorded order of the teachers; a mirrored sample takes all teachers' mirrored views."""
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0], [3.0]])
    inputs = EmbeddingInputs([a, b], [-a, -b], np.array([1, 0]))
    batch = inputs.batch(np.array([0, 1]), np.array([False, True]))
    assert batch.tolist() == [[0.0, 1.0, 3.0], [-1.0, 0.0, -2.0]]


def test_the_own_teachers_number_is_the_last_column() -> None:
    """By row of the data set, not by position; mirroring does not change it."""
    a, own = np.array([[1.0], [2.0], [3.0]]), np.array([0, 1, 2])
    inputs = EmbeddingInputs([a, 10 * a], [-a, -10 * a], np.array([2, 0]), own)
    assert inputs.batch(np.array([1, 0]), np.array([False, True])).tolist() == [[1, 10, 0], [-3, -30, 2]]


class Counted:
    """Inputs that count how many batches of them exist."""

    def __init__(self, count: int) -> None:
        self.rows, self.depth, self.made = np.arange(count), 2, 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device) -> torch.Tensor:
        self.made += 1
        return torch.from_numpy(positions).to(torch.float32)[:, None] + 3.0

    def beside(self, positions: np.ndarray, flip: np.ndarray, device: torch.device) -> tuple[torch.Tensor, ...]:
        return ()


def test_embedding_keeps_its_order_and_never_more_than_a_few_chunks() -> None:
    """Twenty chunks: while one is embedded at most `depth` + 1 others are made, and rows come out as they went in."""
    inputs, ahead_of = Counted(20 * CHUNK), []
    learner = torch.nn.Identity()
    learner.register_forward_hook(lambda *_: ahead_of.append(inputs.made - len(ahead_of) - 1))
    chunks = list(embed(View(learner, inputs, False, torch.device("cpu"))))
    assert (np.concatenate([norms for _, norms in chunks]) == inputs.rows + 3).all()
    assert len(ahead_of) == 20
    assert max(ahead_of) <= inputs.depth + 1
