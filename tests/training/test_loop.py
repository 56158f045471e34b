"""The loop: exact to the bit after any stop, honest about what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairlab.config import Backbone, Data, Distillation, Loss, Run, Training
from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import METHODS, Method
from fairlab.store.embeddings import Embeddings
from fairlab.training import checkpoint
from fairlab.training.loader import ImageInputs
from fairlab.training.loop import Hooks, NotFinite, Samples, train
from fairlab.training.targets import StoredTargets

SETTINGS = Training(epochs=3, batch_size=8, base_lr=2.0, drop_epochs=(2,))
FACTS = {"data": "d", "torch": torch.__version__, "threads": 1}
CLASSES = 5


def method(seed: int = 0, **loss: Any) -> Method:
    torch.manual_seed(seed)
    config = Run(
        role="student",
        method="eaf_kd",
        data=Data(dataset="x"),
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(4, 8), dropout=0.2),
        loss=Loss(**{"scale": 8.0, "margin_rad": 0.2, "sigma_rad": 0.05, **loss}),
        distillation=Distillation(),
    )
    return METHODS["eaf_kd"](config, classes=CLASSES, image_px=16, teacher_dims=(8,))


def samples(count: int = 43) -> Samples:
    random = np.random.default_rng(0)
    targets = random.normal(size=(count, 8)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    pixels = random.integers(0, 255, (count, 16, 16, 3), dtype=np.uint8)
    rows = np.arange(count)
    store = Embeddings(Path(), targets, np.ones(count, np.float32), rows, {})
    return Samples(ImageInputs(pixels, rows), random.integers(0, CLASSES, count), StoredTargets(store, None, rows))


class Log:
    """Collects what the loop reports, as a run's folder does: a step done again counts once, the last time."""

    def __init__(self) -> None:
        self.readings: dict[int, dict[str, float]] = {}
        self.notes: list[str] = []

    def hooks(self, stop: Callable[[], bool]) -> Hooks:
        def reading(step: int, epoch: int, work_s: float, values: Mapping[str, float]) -> None:
            kept = {name: value for name, value in values.items() if name != "images_per_s"}
            self.readings.setdefault(step, {}).update(kept)

        return Hooks(stop, reading, lambda *_: None, self.notes.append, lambda _learner: {"validation_accuracy": 0.5})


def weights(trained: Method) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in trained.state_dict().values()]


@pytest.mark.parametrize(
    "loss",
    [
        {},
        {"sample_rate": 0.6},
        {"name": "elastic_cosface_plus"},
        {"name": "adaface", "ema_weight": 0.2, "sample_rate": 0.6},
        {"name": "curricularface", "ema_weight": 0.2},
        {"name": "magface"},
    ],
    ids=lambda loss: "-".join(str(value) for value in loss.values()),
)
def test_stopping_at_every_step_changes_no_bit(tmp_path: Path, loss: dict[str, Any]) -> None:
    """15 steps, stopped before each of them in turn, against one uninterrupted training; also what losses remember."""
    whole, log = method(**loss), Log()
    train(whole, samples(), SETTINGS, 7, tmp_path / "whole", log.hooks(lambda: False), FACTS)
    broken_log = Log()
    for _ in range(40):
        answers = iter([False, True])
        broken = method(seed=99, **loss)  # other first weights: all must come from the checkpoint, except at the start
        if not checkpoint.whole(tmp_path / "broken"):
            broken = method(**loss)
        try:
            stop = lambda answers=answers: next(answers, True)  # noqa: E731
            train(broken, samples(), SETTINGS, 7, tmp_path / "broken", broken_log.hooks(stop), FACTS)
            break
        except Stopped:
            continue
    else:
        pytest.fail("the training made no progress between stops")
    assert broken_log.readings == log.readings
    assert weights(broken) == weights(whole)
    assert all(tensor.isfinite().all() for tensor in whole.state_dict().values())


def test_what_a_loss_remembers_moves_while_training(tmp_path: Path) -> None:
    """AdaFace's lengths and CurricularFace's t: otherwise the test above would show nothing."""
    for name in ("adaface", "curricularface"):
        trained, fresh = method(name=name), method(name=name)
        train(trained, samples(), SETTINGS, 7, tmp_path / name, Log().hooks(lambda: False), FACTS)
        assert trained.head is not None
        assert fresh.head is not None
        for one, other in zip(trained.head.buffers(), fresh.head.buffers(), strict=True):
            assert not torch.equal(one, other)


def test_momentum_is_part_of_what_is_resumed(tmp_path: Path) -> None:
    """The same test must fail when something is forgotten: here the optimisers' state."""
    whole, log = method(), Log()
    train(whole, samples(), SETTINGS, 7, tmp_path / "whole", log.hooks(lambda: False), FACTS)
    answers = iter([False] * 7 + [True])
    first, second = method(), method()
    with pytest.raises(Stopped):
        train(first, samples(), SETTINGS, 7, tmp_path / "cut", Log().hooks(lambda: next(answers, True)), FACTS)
    state = checkpoint.whole(tmp_path / "cut")[-1] / "trainer.pt"
    saved = torch.load(state, weights_only=True)
    for solver in saved["solvers"].values():
        solver["state"] = {}
    torch.save(saved, state)
    from fairlab.files import write_manifest

    write_manifest(state.parent, ["learner.safetensors", "head.safetensors", "trainer.pt"], step=7, **FACTS)
    train(second, samples(), SETTINGS, 7, tmp_path / "cut", Log().hooks(lambda: False), FACTS)
    assert weights(second) != weights(whole)


def test_the_sum_of_the_terms_is_the_loss(tmp_path: Path) -> None:
    log = Log()
    train(method(), samples(), SETTINGS, 0, tmp_path, log.hooks(lambda: False), FACTS)
    for values in log.readings.values():
        assert values["loss"] == pytest.approx(values["identity"] + values["distillation"], rel=1e-5)


def test_a_nan_stops_at_its_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """The step, the images, and no NaN in any checkpoint."""
    data = samples()
    assert isinstance(data.targets, StoredTargets)
    data.targets.plain[0].vectors[17] = np.nan
    with pytest.raises(NotFinite, match=r"became NaN or infinite at step \d+ \(epoch 1, images .*\b17\b"):
        train(method(), data, Training(epochs=1, batch_size=40), 0, tmp_path, Log().hooks(lambda: False), FACTS)
    assert checkpoint.whole(tmp_path) == []


def test_a_diverging_rate_leaves_no_nan_in_a_checkpoint(tmp_path: Path) -> None:
    wild = Training(epochs=40, batch_size=8, base_lr=1e12, drop_epochs=(), clip_norm=1e30)
    with pytest.raises(NotFinite, match="lower learning rate"):
        train(method(), samples(), wild, 0, tmp_path, Log().hooks(lambda: False), FACTS)
    from safetensors.torch import load_file

    for folder in checkpoint.whole(tmp_path):
        assert all(tensor.isfinite().all() for tensor in load_file(folder / "learner.safetensors").values())


def test_too_few_images_for_a_batch_is_said(tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match="there are 5 images and a batch takes 8"):
        train(method(), samples(5), SETTINGS, 0, tmp_path, Log().hooks(lambda: False), FACTS)


def test_other_data_at_resume_is_refused_and_other_versions_are_noted(tmp_path: Path) -> None:
    """Data by their fingerprint; another version only ends the promise of equal bits."""
    short = Training(epochs=1, batch_size=8)
    train(method(), samples(), short, 0, tmp_path, Log().hooks(lambda: False), FACTS)
    longer = Training(epochs=2, batch_size=8)
    with pytest.raises(FairLabError, match="fingerprint differs"):
        train(method(), samples(), longer, 0, tmp_path, Log().hooks(lambda: False), {**FACTS, "data": "other"})
    log = Log()
    train(method(), samples(), longer, 0, tmp_path, log.hooks(lambda: False), {**FACTS, "torch": "0", "threads": 2})
    assert log.notes == ["not bitwise: resumed with another torch, threads"]
