"""The loop: exact to the bit after any stop, honest about what it cannot do."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fairlab.data import pixels
from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import METHODS, Method
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor, Backbone, Data, Run, Training
from fairlab.store.embeddings import Embeddings
from fairlab.training import checkpoint
from fairlab.training.loader import EmbeddingInputs, ImageInputs
from fairlab.training.loop import Course, Hooks, NotFinite, Samples, train
from fairlab.training.targets import StoredTargets
from tests.losses.heads import fitting

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
        loss=fitting(**{"scale": 8.0, "margin_rad": 0.2, "sigma_rad": 0.05, **loss}),
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
    train(whole, samples(), Course(SETTINGS, 7, tmp_path / "whole", FACTS), log.hooks(lambda: False))
    broken_log = Log()
    for _ in range(40):
        answers = iter([False, True])
        broken = method(seed=99, **loss)  # other first weights: all must come from the checkpoint, except at the start
        if not checkpoint.whole(tmp_path / "broken"):
            broken = method(**loss)
        try:
            stop = lambda answers=answers: next(answers, True)  # noqa: E731
            train(broken, samples(), Course(SETTINGS, 7, tmp_path / "broken", FACTS), broken_log.hooks(stop))
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
        train(trained, samples(), Course(SETTINGS, 7, tmp_path / name, FACTS), Log().hooks(lambda: False))
        assert trained.head is not None
        assert fresh.head is not None
        for one, other in zip(trained.head.buffers(), fresh.head.buffers(), strict=True):
            assert not torch.equal(one, other)


def test_momentum_is_part_of_what_is_resumed(tmp_path: Path) -> None:
    """The same test must fail when something is forgotten: here the optimisers' state."""
    whole, log = method(), Log()
    train(whole, samples(), Course(SETTINGS, 7, tmp_path / "whole", FACTS), log.hooks(lambda: False))
    answers = iter([False] * 7 + [True])
    first, second = method(), method()
    with pytest.raises(Stopped):
        train(first, samples(), Course(SETTINGS, 7, tmp_path / "cut", FACTS), Log().hooks(lambda: next(answers, True)))
    state = checkpoint.whole(tmp_path / "cut")[-1] / "trainer.pt"
    saved = torch.load(state, weights_only=True)
    for solver in saved["solvers"].values():
        solver["state"] = {}
    torch.save(saved, state)
    from fairlab.files import write_manifest

    write_manifest(state.parent, ["learner.safetensors", "head.safetensors", "trainer.pt"], step=7, **FACTS)
    train(second, samples(), Course(SETTINGS, 7, tmp_path / "cut", FACTS), Log().hooks(lambda: False))
    assert weights(second) != weights(whole)


def test_the_sum_of_the_terms_is_the_loss(tmp_path: Path) -> None:
    log = Log()
    train(method(), samples(), Course(SETTINGS, 0, tmp_path, FACTS), log.hooks(lambda: False))
    for values in log.readings.values():
        assert values["loss"] == pytest.approx(values["identity"] + values["distillation"], rel=1e-5)


def test_a_nan_stops_at_its_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """The step, the images, and no NaN in any checkpoint."""
    data = samples()
    assert isinstance(data.targets, StoredTargets)
    data.targets.plain[0].vectors[17] = np.nan
    with pytest.raises(NotFinite, match=r"became NaN or infinite at step \d+ \(epoch 1, images .*\b17\b"):
        train(method(), data, Course(Training(epochs=1, batch_size=40), 0, tmp_path, FACTS), Log().hooks(lambda: False))
    assert checkpoint.whole(tmp_path) == []


def test_a_diverging_rate_leaves_no_nan_in_a_checkpoint(tmp_path: Path) -> None:
    wild = Training(epochs=40, batch_size=8, base_lr=1e3, weight_decay=1.0, drop_epochs=(), clip_norm=1e9)
    with pytest.raises(NotFinite, match="lower learning rate"):
        train(method(), samples(), Course(wild, 0, tmp_path, FACTS), Log().hooks(lambda: False))
    from safetensors.torch import load_file

    for folder in checkpoint.whole(tmp_path):
        assert all(tensor.isfinite().all() for tensor in load_file(folder / "learner.safetensors").values())


class Odd:
    """Something that goes wrong in step `at` (from 0), in one of the places where it may."""

    def __init__(self, where: str, at: int) -> None:
        self.where, self.at, self.step = where, at, -1

    def into(self, trained: Method, data: Samples) -> None:
        forward, batch = trained.forward, data.inputs.batch

        def begin(*arguments: Any) -> Any:
            terms = forward(*arguments)
            self.step += 1
            return {name: value * self.factor("loss") for name, value in terms.items()}

        trained.forward = begin  # type: ignore[method-assign]
        data.inputs.batch = lambda *arguments: batch(*arguments) * self.factor("input", 1)  # type: ignore[method-assign]
        assert trained.head is not None
        for place, part in (("gradient", trained.learner), ("classifier's gradient", trained.head)):
            next(part.parameters()).register_hook(lambda given, place=place: given * self.factor(place))

    def factor(self, where: str, ahead: int = 0) -> float:
        """NaN or infinite in its step, 1 in all others."""
        if where != self.where or self.step + ahead != self.at:
            return 1.0
        return float("nan") if self.at % 2 else float("inf")


def test_what_is_not_finite_stops_the_run_in_its_very_step(tmp_path: Path) -> None:
    """20 of 20: NaN and infinity in loss, input and gradients at random steps; no checkpoint has any of it."""
    from safetensors.torch import load_file

    random = np.random.default_rng(5)
    places = ["loss", "input", "gradient", "classifier's gradient"]
    for number in range(20):
        folder, at = tmp_path / str(number), int(random.integers(0, 15))
        trained, data = method(), samples()
        Odd(places[number % 4], at).into(trained, data)
        with pytest.raises(
            NotFinite, match=rf"became NaN or infinite at step {at + 1} \(epoch {at // 5 + 1}, images \d"
        ):
            train(trained, data, Course(SETTINGS, 7, folder, FACTS), Log().hooks(lambda: False))
        kept = checkpoint.whole(folder)
        assert [path.name for path in kept] == [f"step-{5 * n:08d}" for n in range(1, at // 5 + 1)][-2:]
        for path in kept:
            for file in path.glob("*.safetensors"):
                assert all(tensor.isfinite().all() for tensor in load_file(file).values())


def test_a_folder_that_may_not_be_written_any_more_ends_the_run_within_a_pass(tmp_path: Path) -> None:
    """10 of 10 random steps: permission lost, said loudly at the next save; never a step that only seems saved."""
    import tempfile

    train(
        method(), samples(), Course(SETTINGS, 7, tmp_path, FACTS), Log().hooks(lambda: False)
    )  # what is imported is there
    root = os.geteuid() == 0
    random = np.random.default_rng(6)
    for _ in range(10):
        at = int(random.integers(0, 15))
        place = Path(tempfile.mkdtemp())  # where another user may go: root may write whatever the mode says
        try:
            place.chmod(0o777)
            if root:
                os.seteuid(65534)
            folder = place / "checkpoints"
            folder.mkdir()
            log, steps = Log(), iter(range(100))

            def stop(at: int = at, folder: Path = folder, steps: Iterator[int] = steps) -> bool:
                if next(steps) == at:
                    folder.chmod(0o555)
                return False

            with pytest.raises(FairLabError, match=r"no permission to write .*step-"):
                train(method(), samples(), Course(SETTINGS, 7, folder, FACTS), log.hooks(stop))
            assert max(log.readings, default=0) <= (at // 5 + 1) * 5
            assert [path.name for path in checkpoint.whole(folder)] == [
                f"step-{5 * n:08d}" for n in range(1, at // 5 + 1)
            ]
        finally:
            if root:
                os.seteuid(0)
            (place / "checkpoints").chmod(0o755)
            shutil.rmtree(place)


class Reading:
    """Reads images from memory; the `at`-th time the disk fails, or does not answer any more."""

    def __init__(self, at: int, hangs: bool) -> None:
        stream = io.BytesIO()
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(stream, "PNG")
        self.image, self.at, self.hangs, self.answer = stream.getvalue(), at, hangs, threading.Event()
        self.count = iter(range(1_000_000))

    def __call__(self, row: int) -> bytes:
        if next(self.count) == self.at:
            if not self.hangs:
                raise OSError(5, "Input/output error")
            self.answer.wait()
        return self.image


def test_a_reader_that_fails_or_hangs_ends_the_run_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 of 10 at random images, in no more than twice the patience (24 s) and half a second."""
    monkeypatch.setattr(pixels, "PATIENCE_S", 0.3)
    random, slowest = np.random.default_rng(8), 0.0
    for number in range(10):
        read = Reading(int(random.integers(0, 100)), hangs=number % 2 == 0)
        data = replace(
            samples(),
            inputs=ImageInputs(pixels.EncodedPixels(read, lambda row: f"faces/{row}.png", 43, 16), np.arange(43)),
        )
        began = time.monotonic()
        said = (
            r"no image could be read for 0 s \(faces/\d+\.png\): is the disk"
            if read.hangs
            else r"faces/\d+\.png cannot be read: Input"
        )
        with pytest.raises(FairLabError, match=said):
            train(method(), data, Course(SETTINGS, 7, tmp_path / str(number), FACTS), Log().hooks(lambda: False))
        slowest = max(slowest, time.monotonic() - began)
        read.answer.set()
    print(f"ended after at most {slowest:.1f} s")
    assert slowest < 10


def test_a_run_once_resumed_elsewhere_stays_marked(tmp_path: Path) -> None:
    """3 of 3: torch, threads, device; and every later attempt says so too, whatever it runs on."""
    for name in ("torch", "threads", "device"):
        here = {**FACTS, "device": "cpu"}
        there = {**here, name: "another"}
        said = []
        for epochs, facts in enumerate((here, there, there, here), 1):
            log, settings = Log(), Training(epochs=epochs, batch_size=8)
            train(method(), samples(), Course(settings, 0, tmp_path / name, facts), log.hooks(lambda: False))
            said.append(log.notes)
        assert said == [[], *[[f"not bitwise: {name} changed since it started"]] * 3]


@pytest.mark.slow
def test_ten_long_runs_in_one_process_leave_nothing_behind(tmp_path: Path) -> None:
    """10 runs: memory grows by less than 50 MB, no open file, thread or child more. FAIRLAB_SOAK=2000 for long ones."""
    import psutil

    me = psutil.Process()
    random = np.random.default_rng(0)
    steps = int(os.environ.get("FAIRLAB_SOAK", "200"))
    vectors = random.normal(size=(2 * steps, 8)).astype(np.float32)
    data = Samples(EmbeddingInputs([vectors], [], np.arange(2 * steps)), random.integers(0, CLASSES, 2 * steps))
    config = Run(
        role="adaptor", method="common_space", data=Data(dataset="x"), adaptor=Adaptor(name="sl", embedding_dim=8),
        loss=loss_settings(scale=8.0, margin_rad=0.2),
    )  # fmt: skip
    settings, seen = Training(epochs=4, batch_size=8, base_lr=0.1, drop_epochs=(), flip=False), []
    for number in range(10):
        trained = METHODS["common_space"](config, classes=CLASSES, image_px=0, teacher_dims=(8,))
        at = train(trained, data, Course(settings, 7, tmp_path / str(number), FACTS), Log().hooks(lambda: False))
        assert at.step == steps
        seen.append((me.memory_info().rss / 1e6, me.num_fds(), threading.active_count(), len(me.children())))
    print(f"memory {seen[0][0]:.0f} MB after the first run, {seen[-1][0]:.0f} MB after the tenth; files {seen[-1][1]}")
    assert seen[-1][0] - seen[0][0] < 50
    assert len({counts[1:] for counts in seen}) == 1


def test_too_few_images_for_a_batch_is_said(tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match="there are 5 images and a batch takes 8"):
        train(method(), samples(5), Course(SETTINGS, 0, tmp_path, FACTS), Log().hooks(lambda: False))


def test_other_data_at_resume_is_refused_and_other_versions_are_noted(tmp_path: Path) -> None:
    """Data by their fingerprint; another version only ends the promise of equal bits."""
    short = Training(epochs=1, batch_size=8)
    train(method(), samples(), Course(short, 0, tmp_path, FACTS), Log().hooks(lambda: False))
    longer = Training(epochs=2, batch_size=8)
    with pytest.raises(FairLabError, match="fingerprint differs"):
        train(method(), samples(), Course(longer, 0, tmp_path, {**FACTS, "data": "other"}), Log().hooks(lambda: False))
    log = Log()
    train(
        method(),
        samples(),
        Course(longer, 0, tmp_path, {**FACTS, "torch": "0", "threads": 2}),
        log.hooks(lambda: False),
    )
    assert log.notes == ["not bitwise: torch, threads changed since it started"]
