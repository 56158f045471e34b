"""Every setting of the loop: exact to the bit after any stop, and what it is said to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import Batch, Method
from fairlab.settings.study import Training
from fairlab.training import checkpoint
from fairlab.training.loader import EmbeddingInputs
from fairlab.training.loop import Course, Hooks, Samples, train
from tests.training.test_loop import FACTS, Log, method, samples, weights

BASE: dict[str, Any] = {"epochs": 3, "batch_size": 8, "base_lr": 2.0, "drop_epochs": (2,)}


class Judged(Log):
    """Validation that looks at the network: how many batches it has seen says how good it is, best in the second pass."""

    def hooks(self, stop: Callable[[], bool]) -> Hooks:
        def validate(learner: nn.Module) -> Mapping[str, float]:
            state = learner.state_dict()
            seen = int(state["features.num_batches_tracked"])
            total = sum(float(tensor.double().sum()) for tensor in state.values())
            return {"validation_accuracy": {5: 0.6, 10: 0.8}.get(seen, 0.7), "validation_accuracy/sum": total}

        return replace(super().hooks(stop), validate=validate)


class Gated(Method):
    """A method with something of its own to learn, something to count, and a frozen teacher."""

    def __init__(self) -> None:
        super().__init__()
        inner = method()
        self.learner, self.head, self.embedding_dim = inner.learner, inner.head, 8
        self.gate, self.teacher = nn.Linear(8, 1), nn.Linear(3, 4000).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()))

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        self.seen = self.seen + len(embeddings)  # another tensor each time
        return super().identity(embeddings, batch) * torch.sigmoid(self.gate(embeddings)).mean() + 0.01 * self.seen


CASES: dict[str, dict[str, Any]] = {
    "adamw-cosine": {"optimiser": "adamw", "schedule": "cosine", "base_lr": 0.1, "warmup_steps": 3, "beta2": 0.99},
    "adamw-rows": {"optimiser": "adamw", "base_lr": 0.1, "sample_rate": 0.6},
    "ema": {"ema_decay": 0.9},
    "ema-best": {"ema_decay": 0.5, "keep": "best"},
    "accumulate": {"accumulate": 2, "batch_size": 4},
    "randaugment": {"randaugment": 2},
    "identities": {"balance": "identities"},
    "groups": {"balance": "groups"},
    "pairs": {"batch_size": 12, "pair_identities": 2, "pair_images": 2},
    "pairs in two parts": {
        "batch_size": 6,
        "accumulate": 2,
        "pair_identities": 1,
        "pair_images": 2,
        "identity_rows": "general",
    },
    "best": {"keep": "best"},
    "gated": {},
}


@pytest.mark.parametrize("case", CASES)
def test_stopping_again_and_again_changes_no_bit(tmp_path: Path, case: str) -> None:
    """Stopped after every third step, against one uninterrupted training: readings, weights, and the choice."""
    given = BASE | CASES[case]
    loss = {"sample_rate": given.pop("sample_rate")} if "sample_rate" in given else {}
    settings = Training(**given)
    data = replace(samples(), groups=np.arange(43) % 7 // 3)

    def fresh(seed: int) -> Method:
        torch.manual_seed(seed)
        return Gated() if case == "gated" else method(seed, **loss)

    whole, log = fresh(0), Judged()
    at = train(whole, data, Course(settings, 7, tmp_path / "whole", FACTS), log.hooks(lambda: False))
    broken_log = Judged()
    for turn in range(20):
        answers = iter([False] * 3 + [True])
        broken = fresh(99 if turn else 0)
        if isinstance(broken, Gated):
            broken.teacher.load_state_dict(whole.teacher.state_dict())  # type: ignore[union-attr]
        try:
            hooks = broken_log.hooks(lambda answers=answers: next(answers, True))
            ended = train(broken, data, Course(settings, 7, tmp_path / "broken", FACTS), hooks)
            break
        except Stopped:
            continue
    else:
        pytest.fail("the training made no progress between stops")
    assert turn == 4
    assert broken_log.readings == log.readings
    assert weights(broken) == weights(whole)
    assert (ended.best_epoch, ended.best_accuracy) == (at.best_epoch, at.best_accuracy)
    if settings.keep == "best":
        assert at.best_epoch == 1
    if case != "gated":
        plain = method(**loss)
        train(plain, data, Course(Training(**BASE), 7, tmp_path / "plain", FACTS), Judged().hooks(lambda: False))
        assert weights(plain) != weights(whole), "the setting does nothing"


def test_a_frozen_network_inside_a_method_is_not_written_with_every_pass(tmp_path: Path) -> None:
    """What it learns and counts is in the checkpoint; its teacher of 64 kB is not."""
    train(Gated(), samples(), Course(Training(**BASE), 0, tmp_path, FACTS), Log().hooks(lambda: False))
    from safetensors.torch import load_file

    kept = load_file(checkpoint.whole(tmp_path)[-1] / "method.safetensors")
    assert set(kept) == {"gate.weight", "gate.bias", "seen"}
    assert float(kept["seen"]) == 15 * 8


@pytest.mark.parametrize(("rows", "counted"), [("all", 12), ("general", 8)])
def test_identity_rows_reach_the_method(tmp_path: Path, rows: str, counted: int) -> None:
    """Every step sees 12 images; the identity loss those that are asked for, the general ones first."""
    seen: list[tuple[int, int | None]] = []

    class Counted(Gated):
        def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
            assert len(embeddings) == len(batch.identities)
            seen.append((len(embeddings), batch.general))
            return super().identity(embeddings, batch)

    settings = Training(**BASE | {"batch_size": 12, "pair_identities": 2, "pair_images": 2, "identity_rows": rows})
    train(Counted(), samples(), Course(settings, 0, tmp_path, FACTS), Log().hooks(lambda: False))
    assert seen == [(counted, 8)] * 15


class Scripted(Log):
    """Validation with these accuracies, pass by pass, that keeps a copy of what it saw."""

    def __init__(self, accuracies: list[float]) -> None:
        super().__init__()
        self.left, self.seen = list(accuracies), []

    def hooks(self, stop: Callable[[], bool]) -> Hooks:
        def validate(learner: nn.Module) -> Mapping[str, float]:
            self.seen.append([tensor.numpy().tobytes() for tensor in learner.state_dict().values()])
            return {"validation_accuracy": self.left.pop(0)}

        return replace(super().hooks(stop), validate=validate)


@pytest.mark.parametrize(
    ("accuracies", "best"), [([0.6, 0.9, 0.9, 0.7], 1), ([0.0, 0.0, 0.0, 0.0], 0), ([0.1, 0.2, 0.3, 0.4], 3)]
)
def test_the_best_pass_is_kept_and_the_earliest_of_equals(tmp_path: Path, accuracies: list[float], best: int) -> None:
    log, trained = Scripted(accuracies), method()
    at = train(
        trained,
        samples(),
        Course(Training(**BASE | {"epochs": 4, "keep": "best"}), 0, tmp_path, FACTS),
        log.hooks(lambda: False),
    )
    assert (at.best_epoch, at.best_accuracy) == (best, accuracies[best])
    assert [tensor.numpy().tobytes() for tensor in trained.learner.state_dict().values()] == log.seen[best]
    last = Scripted(accuracies)
    whole = method()
    ended = train(
        whole,
        samples(),
        Course(Training(**BASE | {"epochs": 4}), 0, tmp_path / "last", FACTS),
        last.hooks(lambda: False),
    )
    assert ended.best_epoch is None
    assert [tensor.numpy().tobytes() for tensor in whole.learner.state_dict().values()] == last.seen[3]


def test_what_is_validated_and_kept_is_the_running_mean(tmp_path: Path) -> None:
    """Decay 0 is the weights themselves; otherwise others are judged and kept than those that learn."""
    plain, log = method(), Scripted([0.5] * 3)
    train(plain, samples(), Course(Training(**BASE), 0, tmp_path / "plain", FACTS), log.hooks(lambda: False))
    none, same = method(), Scripted([0.5] * 3)
    train(
        none, samples(), Course(Training(**BASE, ema_decay=0.0), 0, tmp_path / "none", FACTS), same.hooks(lambda: False)
    )
    assert same.seen == log.seen
    assert weights(none) == weights(plain)
    mean, judged = method(), Scripted([0.5] * 3)
    train(
        mean,
        samples(),
        Course(Training(**BASE, ema_decay=0.9), 0, tmp_path / "mean", FACTS),
        judged.hooks(lambda: False),
    )
    assert judged.seen[2] != log.seen[2]
    assert [tensor.numpy().tobytes() for tensor in mean.learner.state_dict().values()] == judged.seen[2]
    latest = method()
    checkpoint.load_latest(tmp_path / "mean", checkpoint.State(latest.learner, latest.head, {}))
    assert weights(latest) == weights(plain)  # what learns is not touched by its mean


class Flat(Method):
    """Two linear layers: nothing in it looks at the other images of a batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.learner = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.Tanh(), nn.Linear(16, 8))
        self.head, self.embedding_dim = method(name="arcface").head, 8


def test_batches_that_make_one_step_are_one_large_batch(tmp_path: Path) -> None:
    """Without batch norm: four of 8 or one of 32, the same images, rate, terms and weights but for rounding."""
    runs, logs = [], []
    for name, shape in (("large", {"batch_size": 32}), ("small", {"batch_size": 8, "accumulate": 4})):
        trained, log = Flat(), Log()
        settings = Training(**BASE | {"epochs": 6, "clip_norm": 0.5} | shape)
        train(trained, samples(), Course(settings, 5, tmp_path / name, FACTS), log.hooks(lambda: False))
        runs.append(trained.state_dict())
        logs.append(log.readings)
    for name, tensor in runs[0].items():
        torch.testing.assert_close(runs[1][name], tensor, rtol=1e-4, atol=1e-6)
    assert logs[0].keys() == logs[1].keys() == set(range(1, 7))
    for step, values in logs[0].items():
        for name in ("loss", "identity", "grad_norm", "lr"):
            assert logs[1][step][name] == pytest.approx(values[name], rel=1e-4), name
    start = Flat().state_dict()
    assert not torch.allclose(runs[0]["learner.1.weight"], start["learner.1.weight"], atol=1e-3)


def test_terms_are_compared_where_two_pull(tmp_path: Path) -> None:
    """A distilled student's readings have both gradients; a classifier's have none, as nothing can drown there."""
    log, alone = Log(), Log()
    train(method(), samples(), Course(Training(**BASE), 0, tmp_path / "a", FACTS), log.hooks(lambda: False))
    for values in log.readings.values():
        assert values["gradient/identity"] > 0
        assert values["gradient/distillation"] > 0
    train(Flat(), samples(), Course(Training(**BASE), 0, tmp_path / "b", FACTS), alone.hooks(lambda: False))
    assert not any(name.startswith("gradient/") for values in alone.readings.values() for name in values)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"precision": "bf16"}, "on a CPU such a step takes longer"),
    ({"balance": "groups"}, "needs the groups of the images"),
    ({"keep": "best"}, r"there are none: hold some training identities out with data\.held_out"),
    ({"accumulate": 9}, "there are 43 images and a step takes 9 batches of 8"),
    ({"pair_identities": 3, "pair_images": 2, "accumulate": 22}, "a step takes 22 batches of 2 general images"),
    ({"pair_identities": 3, "pair_images": 2}, "pair_identities is 3, and 2 of the 5 identities to train on have two"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    hooks = replace(Log().hooks(lambda: False), validate=None)
    data = samples()
    if "two" in message:
        data = replace(data, identities=np.array([*[0] * 20, *[1] * 20, 2, 3, 4]))
    with pytest.raises(FairLabError, match=message):
        train(method(), data, Course(Training(**BASE, device="cpu", **given), 0, tmp_path / "x", FACTS), hooks)
    assert not (tmp_path / "x").exists()


def test_stored_embeddings_are_not_augmented(tmp_path: Path) -> None:
    class Space(Flat):
        inputs = "embeddings"

    stored = np.ones((20, 768), np.float32)
    data = Samples(EmbeddingInputs([stored], [stored], np.arange(20)), np.arange(20) % 5)
    with pytest.raises(FairLabError, match="this run learns from stored embeddings"):
        train(Space(), data, Course(Training(**BASE, randaugment=2), 0, tmp_path, FACTS), Log().hooks(lambda: False))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beta1": 0.8}, "beta1 and beta2 are AdamW's"),
        ({"randaugment_magnitude": 5}, "say with randaugment how many operations"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**given)


def test_what_is_as_before_is_empty() -> None:
    """So that a run's id does not depend on how the default was written."""
    written = Training(optimiser="sgd", schedule="steps", keep="last", accumulate=1, compile=False)
    assert written == Training()
