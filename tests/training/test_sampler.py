"""Half of every batch from a few identities: what a step holds is a function of seed and step, whoever makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fairlab.errors import FairLabError
from fairlab.settings.training import Training
from fairlab.training.loader import order
from fairlab.training.sampler import Sampler
from fairlab.training.together import Together
from fairlab.training.world import World
from tests.fixtures.golden import RELATIVES

SIZES = [1, 2, 3, 5, 8, 13, 4, 4]
"""Images of the eight identities; the first can make no pair."""
IDENTITIES = np.random.default_rng(3).permutation(np.repeat(np.arange(len(SIZES)), SIZES))
COUNT = len(IDENTITIES)
P, K = 3, 4


def settings(**changes: Any) -> Training:
    return Training(**{"batch_size": 20, "pair_identities": P, "pair_images": K, **changes})


def step(epoch: int, number: int, seed: int = 7, **changes: Any) -> list[np.ndarray]:
    sampler = Sampler(settings(**changes), seed, IDENTITIES)
    return sampler.parts(order(seed, epoch, COUNT), epoch, number)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_part_of_a_step_has_both_halves(accumulate: int) -> None:
    """SA1: 8 general rows, then 3 different identities with 4 images each, all different where an identity has 4."""
    for number in range(COUNT // (8 * accumulate)):
        parts = step(0, number, accumulate=accumulate)
        assert [len(part) for part in parts] == [20] * accumulate
        for part in parts:
            pairs = part[8:].reshape(P, K)
            people = IDENTITIES[pairs]
            assert (people == people[:, :1]).all()
            assert len(set(people[:, 0])) == P
            assert 0 not in people
            for images, person in zip(pairs, people[:, 0], strict=True):
                times = np.bincount(images, minlength=COUNT)[person == IDENTITIES]
                size = SIZES[person]
                assert times.max() == -(-K // size)
                assert times.min() == (K // size if size <= K else 0)
        if accumulate == 2:
            assert sorted(parts[0][8:]) != sorted(parts[1][8:])


def test_a_step_is_a_function_of_seed_and_overall_step() -> None:
    """SA2: made first or last, by a new object or an old one; another step, epoch or seed is another draw."""
    sampler = Sampler(settings(), 7, IDENTITIES)
    steps = sampler.steps_per_epoch
    sequence = order(7, 1, COUNT)
    forwards = [sampler.parts(sequence, 1, number)[0] for number in range(steps)]
    backwards = [Sampler(settings(), 7, IDENTITIES).parts(sequence, 1, n)[0] for n in reversed(range(steps))]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, reversed(backwards), strict=True))
    drawn = [tuple(step(epoch, number)[0][8:]) for epoch in range(3) for number in range(steps)]
    assert len(set(drawn)) == 3 * steps
    assert tuple(step(0, 0, seed=8)[0][8:]) not in drawn


@pytest.mark.parametrize("size", [1, 2, 4])
def test_processes_share_the_step_that_one_would_make(size: int) -> None:
    """SA3: their shares in order are the step, so its general half stays in front when they are gathered."""
    for part in step(1, 1, accumulate=2):
        shares = []
        for rank in range(size):
            together = Together.__new__(Together)
            together.world = World(rank, size)
            shares.append(together.mine(part))
        assert {len(share) for share in shares} == {20 // size}
        assert np.array_equal(np.concatenate(shares), part)


def test_identities_are_drawn_equally_often_whatever_their_size() -> None:
    """SA4: S P / C times in S steps, within four standard deviations of a binomial count; images of one identity too."""
    steps = 2000
    sampler = Sampler(settings(pair_images=2), 1, IDENTITIES)
    rows = np.arange(COUNT)
    pairs = np.concatenate([sampler.parts(rows, 0, number)[0][-2 * P :] for number in range(steps)]).reshape(-1, 2)
    times = np.bincount(IDENTITIES[pairs[:, 0]], minlength=len(SIZES))
    share = P / (len(SIZES) - 1)
    assert times[0] == 0
    assert abs(times[1:] - steps * share).max() < 4 * np.sqrt(steps * share * (1 - share))
    images = np.bincount(pairs.ravel(), minlength=COUNT)[IDENTITIES == 5]  # 13 images, each in 2 / 13 of the draws
    assert abs(images - times[5] * 2 / 13).max() < 4 * np.sqrt(times[5] * (2 / 13) * (11 / 13))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_general_halves_of_an_epoch_are_its_order(accumulate: int) -> None:
    """SA5: every image at most once, and all but the last incomplete step's; the same order as without pairs."""
    steps = COUNT // (8 * accumulate)
    parts = [part[:8] for number in range(steps) for part in step(2, number, accumulate=accumulate)]
    assert np.array_equal(np.concatenate(parts), order(7, 2, COUNT)[: 8 * accumulate * steps])


def test_without_pairs_a_step_is_the_next_images() -> None:
    sampler = Sampler(Training(batch_size=8, accumulate=2), 0, IDENTITIES)
    assert sampler.general is None
    assert sampler.steps_per_epoch == COUNT // 16
    parts = sampler.parts(np.arange(COUNT), 3, 1)
    assert [part.tolist() for part in parts] == [list(range(16, 24)), list(range(24, 32))]


def test_steps_of_an_epoch_and_sure_pairs_are_those_known() -> None:
    """G13: of BUPT-BalancedFace with EKD's batch, and of a demo; P K (K - 1) / 2 genuine pairs that no chance takes away."""
    known = RELATIVES["G13"]["outputs"]
    paper, small = settings(batch_size=64, pair_identities=8), settings(batch_size=32, pair_identities=4)
    assert 1_248_932 // paper.epoch_images == known["bupt_1248932_g_32_8x4"]["steps_a_pass"]
    assert 6_000 // small.epoch_images == known["demo_6000_g_16_4x4"]["steps_a_pass"]
    identities = np.repeat(np.arange(150), 40)
    for given, name in ((paper, "bupt_1248932_g_32_8x4"), (small, "demo_6000_g_16_4x4")):
        (part,) = Sampler(given, 0, identities).parts(order(0, 0, 6000), 0, 0)
        people = identities[part[given.general_rows :]]
        first, second = np.triu_indices(len(people), 1)
        assert len(part) == known[name]["images_a_step"]
        assert (people[first] == people[second]).sum() == known[name]["sure_genuine_pairs"]


def test_too_few_identities_with_two_images_are_refused_in_a_sentence() -> None:
    with pytest.raises(
        FairLabError, match=r"pair_identities is 8, and 7 of the 8 identities to train on have two images"
    ):
        Sampler(settings(pair_identities=8, batch_size=40), 0, IDENTITIES)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 12}, "pair_identities x pair_images is 12 and batch_size 12: a batch also needs general images"),
    ({"balance": "identities"}, "balance 'identities' and pair_identities exclude each other"),
    ({"pair_identities": 0, "pair_images": 5}, "say with pair_identities how many identities a batch has pairs of"),
    ({"pair_identities": 0, "identity_rows": "general"}, "pair_images and identity_rows are about pairs"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**given)
