"""Two processes are one run: the same curve and weights up to rounding, whatever the loss and the method.

One pair of real processes, which talk through gloo, carries out all cases; what this process comes to alone is what they
must come to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError, Stopped
from fairlab.losses.base import LOSSES, MarginHead
from fairlab.methods.base import METHODS, Method
from fairlab.settings.backbone import PatchEchoSettings
from fairlab.settings.distillation import MSTDistillSettings, ProxylessKDSettings
from fairlab.settings.study import Adaptor, Backbone, Training
from fairlab.store.embeddings import Embeddings
from fairlab.training import checkpoint, loop
from fairlab.training.loader import EmbeddingInputs, ImageInputs
from fairlab.training.loop import Course, Hooks, Samples, train
from fairlab.training.targets import SeveralTargets, StoredTargets, Targets
from fairlab.training.whole_batch import over_whole_batch
from fairlab.training.world import ALONE, World, from_environment
from tests.forks import fork, worlds_of
from tests.losses.heads import fitting
from tests.methods.conftest import DIMS, SIZE, built

CLASSES, COUNT = 5, 43
SHORT = Training(epochs=2, batch_size=8, base_lr=1.0, drop_epochs=(1,))
LONG = Training(epochs=3, batch_size=8, base_lr=0.2, optimiser="adamw", ema_decay=0.9, keep="best")
"""Whose optimiser remembers something for each class, and which keeps two more sets of weights."""
FIRST, LATER = 2e-6, 2e-4
"""How far a reading of the first step, and of the ten steps and the weights, may be from one process's, as a share of it.

Rounding alone: the later steps add up what the first ones differ by, and where a margin or an activation has a bend,
more. Measured: 2.3e-7 and 1.4e-6, EKD 2.2e-5.
"""
RANDOM = ("adaface", "curricularface", "elastic_arcface_plus")
"""Losses that remember, or draw after the classes are drawn; the others' shares of classes are among the HEADS."""
CURVES: dict[str, dict[str, Any]] = {
    **{f"loss {name}": {"method": "classifier", "loss": {"name": name}} for name in LOSSES},
    **{f"share of {name}": {"method": "classifier", "loss": {"name": name, "sample_rate": 0.6}} for name in RANDOM},
    **{f"method {name}": {"method": name} for name in METHODS if getattr(METHODS[name], "trains", False)},
    "margin factors": {"method": "classifier", "loss": {"name": "elastic_arcface_plus"}, "factors": True},
    "margin factors of some classes": {
        "method": "eaf_kd",
        "loss": {"name": "curricularface", "sample_rate": 0.6},
        "factors": True,
    },
    "gate": {"method": "common_space", "adaptor": Adaptor(name="gate", embedding_dim=DIMS), "teachers": 3},
    "dropout adaptor": {"method": "common_space", "adaptor": Adaptor(name="dldpo", embedding_dim=DIMS, dropout=0.3)},
    "two batches a step": {"method": "eaf_kd", "training": {"accumulate": 2}},
    "pairs": {"method": "ekd", "training": {"batch_size": 12, "pair_identities": 2, "pair_images": 2}},
    "pairs in two parts, one identity loss over half": {
        "method": "adadistill",
        "training": {
            "batch_size": 6,
            "accumulate": 2,
            "pair_identities": 1,
            "pair_images": 2,
            "identity_rows": "general",
        },
    },
    "reservoir": {
        "method": "clip_teacher_kd",
        "backbone": PatchEchoSettings(embedding_dim=DIMS, patch_px=8, token_dim=5, units=9),
    },
    "centres that learn on": {
        "method": "proxyless_kd",
        "distillation": ProxylessKDSettings(unfreeze=True, kd_weight=192.0),
    },
}
ROUTED = MSTDistillSettings(mask="mlp", gate_learns="right", top_k=2)
CURVES["three teachers, three stages"] = {
    "method": "mst_distill",
    "teachers": 3,
    "distillation": ROUTED,
    "training": {"epochs": 3},
}
STATEFUL = {"method": "eaf_kd", "loss": {"name": "curricularface", "sample_rate": 0.6}}
HEADS = {
    f"{name}, {classes} classes, {rate}": (name, classes, rate)
    for name in LOSSES
    for classes, rate in ((6, 1.0), (7, 1.0), (41, 0.1))
}
Told = dict[str, Any]


def make(case: Mapping[str, Any]) -> Method:
    more = {name: value for name, value in case.items() if name in ("adaptor", "distillation")}
    loss = fitting(**{"scale": 8.0, "margin_rad": 0.2, "sigma_rad": 0.05, "ema_weight": 0.2, **case.get("loss", {})})
    backbone = case.get("backbone", Backbone(name="tiny", embedding_dim=DIMS, widths=(6,), dropout=0.2))
    return built(case["method"], CLASSES, (DIMS,) * case.get("teachers", 1), loss=loss, backbone=backbone, **more)


def samples(method: Method, teachers: int) -> Samples:
    random = np.random.default_rng(0)

    def units() -> np.ndarray:
        found = random.normal(size=(COUNT, DIMS)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    rows, labels = np.arange(COUNT), random.integers(0, CLASSES, COUNT)

    def stored() -> Targets:
        store = Embeddings(Path(), units(), random.uniform(1, 2, COUNT).astype(np.float32), rows, {})
        return StoredTargets(store, None, rows)

    several = method.needs_centroids
    targets: Targets | None = SeveralTargets([stored() for _ in range(teachers)]) if several else stored()
    if not method.needs_targets:
        targets = None
    if method.inputs == "embeddings":
        spaces = [units() for _ in range(teachers)]
        return Samples(EmbeddingInputs(spaces, [-space for space in spaces], rows), labels, targets)
    images = ImageInputs(random.integers(0, 255, (COUNT, SIZE, SIZE, 3), dtype=np.uint8), rows)
    groups = {"groups": rows % 3 - 1, "group_names": ("left", "right")} if several else {}  # -1: of no group
    return Samples(images, labels, targets, **groups)


def curve(case: Told, folder: Path, world: World, settings: Training = SHORT, stop_at: int | None = None) -> Told:
    """Train, stopped before step `stop_at` of this call: every step's readings, the method's weights, and the notes."""
    method, asked = make(case), iter(range(1000))
    readings: dict[int, dict[str, float]] = {}
    notes: list[str] = []

    def reading(step: int, epoch: int, work_s: float, values: Mapping[str, float]) -> None:
        kept = {name: value for name, value in values.items() if name != "images_per_s"}
        readings.setdefault(step, {}).update(kept)

    def validate(judged: nn.Module) -> dict[str, float]:  # the second pass of three is the best
        return {
            "validation_accuracy": {5: 0.5, 10: 0.9}.get(int(judged.get_buffer("features.num_batches_tracked")), 0.7)
        }

    hooks = Hooks(
        lambda: next(asked) == stop_at, reading, lambda *_: None, notes.append, validate if settings is LONG else None
    )
    data, changed = samples(method, case.get("teachers", 1)), settings.model_copy(update=case.get("training", {}))
    if case.get("factors"):
        data = replace(data, margin_factors=np.linspace(0.3, 1.8, COUNT))
    try:
        train(method, data, Course(changed, 7, folder, {"data": "d", "devices": world.size}), hooks, world)
    except Stopped:
        return {}
    return {"readings": readings, "weights": method.state_dict(), "notes": notes}


def pieces(name: str, classes: int, rate: float, world: World) -> dict[str, Tensor]:
    """Of a classifier in double precision: loss and gradients of two steps, and what it remembers then."""
    torch.manual_seed(0)
    head: MarginHead = LOSSES[name](DIMS, classes, fitting(name, scale=8.0, sample_rate=rate, ema_weight=0.3)).double()
    everybody = 9 * torch.randn(8, DIMS, dtype=torch.float64)
    identities = torch.tensor([0, 2, 2, 1, 0, 1, 2, 1])  # of 41 classes the first process has all of them
    embeddings = everybody.chunk(world.size)[world.rank].clone().requires_grad_()
    if world.size > 1:
        head.share_out(world)
    losses = []
    for step in range(2):
        torch.manual_seed(step)
        loss = head.loss(world.gather(embeddings), identities)
        loss.backward()
        losses.append(loss.detach())
    assert embeddings.grad is not None
    assert head.weight.grad is not None
    # What ran backward is the sum of all processes' losses, which are equal; DistributedDataParallel takes the mean.
    found = {"losses": torch.stack(losses), "embeddings": embeddings.grad / world.size}
    return {**found, "weight": head.weight.grad.to_dense(), **dict(head.named_buffers())}


def in_the_pair(environment: dict[str, str], folder: Path) -> None:
    """All cases in one of the two processes; what it comes to goes into a file."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    loop.LOG_EVERY = 1
    world = from_environment()
    with world.joined("cpu"):
        told: Told = {name: curve(case, folder / name, world) for name, case in CURVES.items()}
        told |= {name: pieces(*case, world) for name, case in HEADS.items()}
        told["both"] = curve(STATEFUL, folder / "both", world, LONG)
        curve(STATEFUL, folder / "two then one", world, LONG, stop_at=12)
        told["one then two"] = curve(STATEFUL, folder / "one then two", world, LONG)
        curve(STATEFUL, folder / "two and two", world, LONG, stop_at=7)
        told["two and two"] = curve(STATEFUL, folder / "two and two", world, LONG)
        try:
            curve({**STATEFUL, "training": {"batch_size": 9}}, folder / "odd", world)
        except FairLabError as error:
            told["odd"] = str(error)
    torch.save(told, folder / f"told-{world.rank}.pt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Told]]:
    """The pair's folder, and what each of the two came to."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as mine:
        mine.setattr(loop, "LOG_EVERY", 1)
        curve(STATEFUL, folder / "one then two", ALONE, LONG, stop_at=7)
    both = [fork(in_the_pair, environment, folder) for environment in worlds_of(2)]
    for process in both:
        process.join(240)
    assert [process.exitcode for process in both] == [0, 0]
    return folder, [torch.load(folder / f"told-{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def farthest(one: Told, two: Told, adam: bool = False) -> tuple[float, float]:
    """The largest difference in the first step's readings, and in all of them and the weights; shares of the value."""
    assert one["readings"].keys() == two["readings"].keys()
    far = {
        step: max(abs(two["readings"][step][name] - value) / max(abs(value), 0.1) for name, value in values.items())
        for step, values in one["readings"].items()
        if values.keys() == two["readings"][step].keys()
    }
    assert far.keys() == one["readings"].keys()
    assert one["weights"].keys() == two["weights"].keys()
    weights = []
    for name, tensor in one["weights"].items():
        assert tensor.shape == two["weights"][name].shape, name
        if adam and name.startswith("learner."):
            continue  # a bias before a batch norm has no effect and no gradient but rounding, which AdamW takes full steps by
        weights.append(float((two["weights"][name] - tensor).double().norm() / tensor.double().norm().clamp_min(0.1)))
    return far[min(far)], max(*far.values(), *weights)


@pytest.mark.parametrize("name", list(CURVES))
def test_two_processes_are_one_run(name: str, pair: tuple[Path, list[Told]], tmp_path: Path, every_step: None) -> None:
    """Every reading of ten steps, the weights of the network, all class centres and what the loss remembers."""
    alone = curve(CURVES[name], tmp_path, ALONE)
    first, later = farthest(alone, pair[1][0][name])
    print(f"{name}: first step {first:.1e}, later {later:.1e}")
    assert first < FIRST
    assert later < LATER


@pytest.mark.parametrize("name", list(HEADS))
def test_a_classifier_in_two_pieces_has_the_gradients_of_a_whole_one(name: str, pair: tuple[Path, list[Told]]) -> None:
    """In double precision: loss, embeddings, centres; also where a process has one class more, or none of those drawn."""
    whole, halves = pieces(*HEADS[name], ALONE), [told[name] for told in pair[1]]
    for one in halves:
        for key in whole.keys() - {"embeddings", "weight"}:
            torch.testing.assert_close(one[key], whole[key], rtol=1e-12, atol=1e-12)
    for key in ("embeddings", "weight"):
        torch.testing.assert_close(torch.cat([one[key] for one in halves]), whole[key], rtol=1e-12, atol=1e-12)


def test_trained_by_two_goes_on_alone_and_back(pair: tuple[Path, list[Told]], tmp_path: Path, every_step: None) -> None:
    """AdamW's rows of drawn classes, t, running mean and best pass, across the change; said to be no longer bitwise."""
    folder, (told, _) = pair
    alone = curve(STATEFUL, tmp_path, ALONE, LONG)
    halfway = checkpoint.load_file(checkpoint.whole(folder / "two then one")[-1] / "head.safetensors")
    assert halfway["weight"].shape == (CLASSES, DIMS)
    resumed = {
        "two then one": curve(STATEFUL, folder / "two then one", ALONE, LONG),
        "one then two": told["one then two"],
    }
    assert farthest(alone, told["both"], adam=True)[1] < LATER
    for found in resumed.values():
        assert found["notes"] == ["not bitwise: devices changed since it started"]
        rest = {step: values for step, values in alone["readings"].items() if step in found["readings"]}
        first, later = farthest({**alone, "readings": rest}, found, adam=True)
        print(f"resumed: next step {first:.1e}, later {later:.1e}")
        assert later < LATER


def test_two_processes_that_were_stopped_go_on_to_the_bit(pair: tuple[Path, list[Told]]) -> None:
    """The same promise as for one process."""
    _, (told, _) = pair
    after = told["two and two"]["readings"]
    assert after == {step: told["both"]["readings"][step] for step in after}
    for name, tensor in told["both"]["weights"].items():
        assert torch.equal(tensor, told["two and two"]["weights"][name]), name
    assert told["two and two"]["notes"] == []


def test_a_batch_that_cannot_be_shared_is_refused(pair: tuple[Path, list[Told]]) -> None:
    for told in pair[1]:
        assert told["odd"].startswith("training.batch_size 9 cannot be shared equally by 2 processes; take a multiple")


def batches(seed: int) -> Iterator[Tensor]:
    torch.manual_seed(seed)
    for _ in range(3):
        yield 3 + 2 * torch.randn(6, 4, 5, 5, dtype=torch.float64)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_the_batch_norm_over_processes_is_torchs(momentum: float | None) -> None:
    """Where one process has all images: outputs, gradients and running statistics, in training and afterwards."""
    ours, theirs = (nn.BatchNorm2d(4, momentum=momentum).double() for _ in range(2))
    for images in batches(0):
        with over_whole_batch(nn.Sequential(ours), ALONE):
            ours(images).pow(3).sum().backward()
        theirs(images).pow(3).sum().backward()
    for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert torch.equal(
        ours.eval()(images),
        nn.functional.batch_norm(
            images, *(ours.state_dict()[name] for name in ("running_mean", "running_var", "weight", "bias"))
        ),
    )


def test_a_layer_that_cannot_be_shared_is_named() -> None:
    """Before anything is computed, and nothing of the network is changed."""
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout2d(0.5))
    with pytest.raises(FairLabError, match="has a Dropout2d, which several processes cannot share"):  # noqa: SIM117
        with over_whole_batch(network, World(0, 2, 0)):
            pass
    assert "forward" not in vars(network[0])
