"""How long a plan takes and how much disk it needs, from a short measurement on this very machine.

The measurement (a few real steps of every kind of run, a few rendered faces) needs torch, so it is a process of its
own; its result is kept in the workspace under a hash of what was measured.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, digest, read_json, write_json
from fairlab.plan.grid import expand
from fairlab.plan.needs import CHECKPOINTS, checkpoint_bytes, checkpoint_mb
from fairlab.plan.plan import Plan, PlannedRun
from fairlab.settings.kept import read_checked
from fairlab.settings.study import DemoData, Study, parse
from fairlab.store.records import ProbeFile, ProbeRequest, read_weights
from fairlab.store.runs import SPACES, read_run
from fairlab.tables import NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

STEPS = 6
"""Timed training steps of each kind; the first two of eight are warm-up and not counted."""


PROBED = 1e12
"""Floating-point operations that a measurement may take without a GPU: half a minute of a slow processor core."""
SMALL = 10_000_000
"""Bytes of a run beside its network and embeddings: log, readings, index, numbers."""
SUSTAINED_FLOPS = 20e12
"""Arithmetic in a second that the time of a GPU is given for; what a GPU sustains on one's own network is to be
measured: the time goes with its inverse."""


@dataclass(frozen=True)
class Estimate:
    """What a plan costs: wall seconds with the workspace's slots, CPU seconds, bytes, arithmetic, and a row per run.

    The seconds are None where no step was timed: without a GPU a step of a network of the papers' size takes minutes.
    flops: of training and embedding, counted from the layers.
    """

    seconds: float | None
    cpu_seconds: float | None
    disk_bytes: int
    flops: float
    runs: pd.DataFrame

    @property
    def gpu_seconds(self) -> float:
        """Seconds of one GPU that sustains SUSTAINED_FLOPS."""
        return self.flops / SUSTAINED_FLOPS


ESTIMATED = Table(run_id=TEXT, title=TEXT, role=TEXT, status=TEXT, steps=WHOLE, cpu_s=NUMBER, flops=NUMBER)
"""A row is a run of a plan. cpu_s: NaN where nothing was timed."""


def _images(plan: Plan, workspace: Workspace) -> tuple[int, int]:
    """(images in the data set, their size in pixels)."""
    demo = plan.study.demo
    if demo is None:
        return _registered(workspace, plan)[:2]
    held_out = (demo.validation_identities + demo.test_identities) * demo.test_images
    per_group = (demo.train_identities + demo.synthetic_identities) * demo.train_images + held_out
    return per_group * len(demo.groups), demo.image_px


def _classes(plan: Plan, workspace: Workspace) -> dict[str, int]:
    """People to learn from in each group."""
    demo = plan.study.demo
    if demo is not None:
        return dict.fromkeys(demo.groups, demo.train_identities)
    return _registered(workspace, plan)[2]


def _registered(workspace: Workspace, plan: Plan) -> tuple[int, int, dict[str, int]]:
    folder = workspace.dataset(plan.study.dataset)
    manifest = folder / MANIFEST
    return _looked(folder, manifest.stat().st_mtime_ns if manifest.exists() else 0)


@lru_cache(maxsize=8)
def _looked(folder: Path, _written: int) -> tuple[int, int, dict[str, int]]:
    """(images, their size in pixels, people to learn from in each group) of a data set: of millions of images, seconds."""
    found = open_dataset(folder)
    learned = found.images[found.images["split"] == "train"]
    counts = learned.groupby("group", observed=True)["identity"].nunique()
    return len(found.images), found.image_px, {str(group): int(count) for group, count in counts.items()}


def _people(run: PlannedRun, classes: Mapping[str, int]) -> int:
    """How many people a run learns to tell apart."""
    groups = run.record.config.data.groups
    return sum(classes.get(group, 0) for group in groups) if groups else sum(classes.values())


def _keys(workspace: Workspace, plan: Plan) -> dict[str, str]:
    """What decides the time of a step, as a hash, of each run that trains; runs with the same are measured once."""
    px, classes = _images(plan, workspace)[1], _classes(plan, workspace)
    found = {}
    for run in plan.runs:
        if run.steps:
            kind = _kind(run, px, _people(run, classes), _parent_dims(workspace, plan, run))
            found[run.record.run_id] = digest(kind, 16)
    return found


def _kind(run: PlannedRun, image_px: int, people: int, dims: tuple[int, ...]) -> dict[str, Any]:
    config = run.record.config
    wanted = {"backbone", "adaptor", "loss", "training"}
    shape = config.model_dump(mode="json", include=wanted)
    if shape["training"]:
        decisive = ["batch_size", "threads", "device", "accumulate", "optimiser"]
        if shape["training"]["pair_identities"]:  # only then: earlier measurements of steps without pairs hold on
            decisive += ["pair_identities", "pair_images", "identity_rows"]
        shape["training"] = {name: shape["training"][name] for name in decisive}
    return {"method": run.record.method, "px": image_px, "people": people, "parents": dims, **shape}


def _probe_file(workspace: Workspace, plan: Plan, keys: Mapping[str, str] | None = None) -> Path:
    """Where the measurement of a plan is kept; keys: as _keys() gives them."""
    kinds = sorted((_keys(workspace, plan) if keys is None else keys).values())
    demo = plan.study.demo
    key = digest([platform.node(), os.cpu_count(), kinds, demo.image_px if demo else 0], 16)
    return workspace.home / "probes" / f"{key}.json"


def estimate(workspace: Workspace, plan: Plan) -> Estimate | None:
    """The estimate for `plan`, or None when this machine has not been measured for it yet."""
    keys = _keys(workspace, plan)
    path = _probe_file(workspace, plan, keys)
    if not path.exists():
        return None
    probe = _measured(path, keys)
    count = _images(plan, workspace)[0]
    rows, seconds, flops = [], {}, 0.0
    for run in plan.runs:
        record = run.record
        cost, work = probe.start_s, 0.0
        if record.method == "render":
            cost += count * probe.render_s
        elif run.steps and record.config.training:
            measured = probe.kinds[keys[record.run_id]]
            cost += run.steps * measured.step_s + 2 * count * measured.embed_s if probe.timed else 0.0
            work = measured.flops * (3 * run.steps * record.config.training.step_images + 2 * count)
        if run.status == "done":
            cost = work = 0.0
        seconds[record.run_id] = cost
        flops += work
        rows.append(
            {
                "run_id": record.run_id,
                "title": record.title,
                "role": record.role,
                "status": run.status,
                "steps": run.steps,
                "cpu_s": cost if probe.timed else np.nan,
                "flops": work,
            }
        )
    wall, cpu = (_wall(plan, seconds, workspace.slots), sum(seconds.values())) if probe.timed else (None, None)
    return Estimate(wall, cpu, disk_bytes(workspace, plan), flops, ESTIMATED.build(rows))


def _measured(path: Path, keys: Mapping[str, str]) -> ProbeFile:
    """What was measured. Raises Damaged: without the file this machine is measured again."""
    try:
        probe = read_checked(ProbeFile, path)
        if not set(keys.values()) <= probe.kinds.keys():
            raise Damaged(f"{path} is not the measurement of this plan")
        return probe
    except Damaged as error:
        raise Damaged(f"{error}; delete the file to measure this machine again") from error


def _wall(plan: Plan, seconds: dict[str, float], slots: int) -> float:
    """Length of the schedule that dispatch() makes: first come, first served, parents first."""
    ends: dict[str, float] = {}
    free = [0.0] * slots
    for run in plan.runs:
        slot = int(np.argmin(free))
        ready = max([free[slot], *(ends.get(parent, 0.0) for parent in run.record.parents)])
        ends[run.record.run_id] = free[slot] = ready + seconds[run.record.run_id]
    return max(ends.values(), default=0.0)


def disk_bytes(workspace: Workspace, plan: Plan) -> int:
    """Bytes that the runs still to be done will write: pixels, embeddings, weights and checkpoints with their classifiers.

    Exact to some megabytes once the plan was measured; before, a network is as large as it is for the papers' images.
    """
    count, px = _images(plan, workspace)
    checkpoints = _checkpoint_bytes(workspace, plan)
    total = 0
    for run in plan.new:
        config = run.record.config
        if config.method == "render":
            total += count * px * px * 3
        dim = (
            config.backbone.embedding_dim if config.backbone else config.adaptor.embedding_dim if config.adaptor else 0
        )
        if config.role == "baseline":
            dim = plan.study.teacher.backbone.embedding_dim * len(run.record.parents)
        total += 2 * count * dim * 4
        if run.record.run_id in checkpoints:
            # Of the weights a checkpoint holds two copies or more, and those that are kept are one.
            total += SMALL + round((CHECKPOINTS + 0.5) * checkpoints[run.record.run_id])
    return total


def _checkpoint_bytes(workspace: Workspace, plan: Plan) -> dict[str, float]:
    """The size of a checkpoint of each run that trains."""
    keys, classes = _keys(workspace, plan), _classes(plan, workspace)
    path = _probe_file(workspace, plan, keys)
    measured = _measured(path, keys).kinds if path.exists() else {}
    found = {}
    for run in plan.runs:
        record, training = run.record, run.record.config.training
        if record.run_id not in keys or training is None:
            continue
        kind = measured.get(keys[record.run_id])
        if kind is not None and kind.numbers is not None:
            found[record.run_id] = checkpoint_bytes(kind.numbers, kind.frozen, training)
        else:
            found[record.run_id] = checkpoint_mb(workspace, record, _people(run, classes)) * 1e6
    return found


def check_disk(workspace: Workspace, plan: Plan) -> None:
    """Raise FairLabError when the workspace's disk cannot hold what the plan will write."""
    need, free = disk_bytes(workspace, plan), shutil.disk_usage(workspace.home).free
    if need > free:
        raise FairLabError(
            f"the disk of {workspace.home} has {free / 1e9:.1f} GB free, this study writes about {need / 1e9:.1f} GB; "
            "free some space or choose another workspace"
        )


def request_probe(workspace: Workspace, plan: Plan) -> None:
    """Start the measurement in a process of its own, unless one is under way (a request older than 3 minutes is not)."""
    path = _probe_file(workspace, plan)
    request = path.with_suffix(".request")
    under_way = request.exists() and time.time() - request.stat().st_mtime < 180
    if path.exists() or under_way or probe_failure(workspace, plan):
        return
    write_json(request, {"preset": plan.preset, "study": plan.study.model_dump(mode="json")})
    command = [sys.executable, "-m", "fairlab", "--home", str(workspace.home), "probe", str(request)]
    nothing = subprocess.DEVNULL
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, env=environment)


def probe_failure(workspace: Workspace, plan: Plan) -> str:
    """Why the measurement of the last ten minutes failed; "" when it did not."""
    path = _probe_file(workspace, plan).with_suffix(".failed")
    if not path.exists() or time.time() - path.stat().st_mtime > 600:
        return ""
    return str(read_json(path).get("why", ""))


def run_request(workspace: Workspace, request: Path) -> None:
    """Carry out a measurement that request_probe() asked for; why it failed is kept beside the request."""
    asked = read_checked(ProbeRequest, request)
    plan = expand(parse(Study, read_json(request).get("study"), request.name), asked.preset, workspace)
    try:
        measure(workspace, plan)
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        write_json(request.with_suffix(".failed"), {"why": why})
        raise
    finally:
        request.unlink(missing_ok=True)


def measure(workspace: Workspace, plan: Plan, say: Callable[[str], None] = lambda _text: None) -> None:
    """Time a few real steps of every kind of run in `plan`, in this process, and keep the result."""
    started = time.process_time()
    from fairlab.training.probe import can_time, network_flops, network_numbers, time_network

    start_s = max(time.process_time() - started, 1.0)
    count, px = _images(plan, workspace)
    keys, classes, demo = _keys(workspace, plan), _classes(plan, workspace), plan.study.demo
    kinds: dict[str, dict[str, float]] = {}
    measured: dict[str, PlannedRun] = {}
    for run in plan.runs:
        key = keys.get(run.record.run_id)
        if key is None or key in kinds:
            continue
        dims, of = _parent_dims(workspace, plan, run), _people(run, classes)
        trained, frozen = network_numbers(run.record.config, of, px, dims)
        kinds[key] = {
            "flops": network_flops(run.record.config, of, px, dims),
            "numbers": trained + frozen,
            "frozen": frozen,
        }
        measured[key] = run
    timed = demo is not None or can_time() or _arithmetic(measured, kinds) <= PROBED
    for key, run in measured.items() if timed else ():
        say(f"measuring {run.record.title}")
        dims, of = _parent_dims(workspace, plan, run), _people(run, classes)
        kinds[key] |= time_network(run.record.config, of, px, dims, STEPS)
    result = {
        "start_s": start_s,
        "kinds": kinds,
        "render_s": _time_render(demo) if demo else 0.0,
        "images": count,
        "timed": timed,
    }
    write_json(_probe_file(workspace, plan, keys), result)


def _arithmetic(measured: Mapping[str, PlannedRun], kinds: Mapping[str, Mapping[str, float]]) -> float:
    """Floating-point operations of timing these runs: forward and backward passes of STEPS batches and two to warm up."""
    batches = {
        key: run.record.config.training.batch_size for key, run in measured.items() if run.record.config.training
    }
    return sum(3 * (STEPS + 2) * batches.get(key, 1) * kinds[key]["flops"] for key in measured)


def _parent_dims(workspace: Workspace, plan: Plan, run: PlannedRun) -> tuple[int, ...]:
    """Lengths of the embeddings that a run builds on, of planned models and of those that are there."""
    by_id = {item.record.run_id: item.record for item in plan.runs}
    records = [by_id.get(name) or read_run(workspace, name) for name in run.record.parents]
    dims = []
    for record in records:
        if record.role not in SPACES:
            continue
        settings = record.config.backbone or record.config.adaptor
        if settings is not None:
            dims.append(settings.embedding_dim)
        elif record.run_id in by_id:  # a rule over its own parents: side by side, or as long as each
            inner = _parent_dims(workspace, plan, _planned(plan, record.run_id))
            dims.append(sum(inner) if record.method == "concatenation" else max(inner, default=0))
        else:
            facts = read_weights(record.folder)
            dims.append(int(facts.get("embedding_dim") or facts["settings"]["embedding_dim"]))
    return tuple(dims)


def _planned(plan: Plan, run_id: str) -> PlannedRun:
    return next(run for run in plan.runs if run.record.run_id == run_id)


def _time_render(demo: DemoData) -> float:
    """CPU seconds for one face of these settings, from a small set rendered twice (the first compiles)."""
    from fairlab.data.demo.build import build_demo

    small = {
        "train_identities": 2,
        "validation_identities": 2,
        "test_identities": 2,
        "synthetic_identities": 0,
        "test_pairs": 10,
        "validation_pairs": 10,
    }
    few = demo.model_copy(update={**small, "train_images": 8, "test_images": 8, "hard_impostors": 1})
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            started = time.process_time()
            built = build_demo(few, Path(folder) / name, name, lambda _done, _total: None, lambda: False)
            spent = (time.process_time() - started) / max(len(built.images), 1)
    return spent
