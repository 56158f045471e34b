"""What a plan costs before it is started."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from fairlab.data.dataset import open_dataset
from fairlab.files import write_json
from fairlab.plan import estimate as module
from fairlab.plan.estimate import (
    _images,
    _keys,
    _probe_file,
    check_disk,
    disk_bytes,
    estimate,
    measure,
    probe_failure,
    request_probe,
    run_request,
)
from fairlab.plan.grid import expand
from fairlab.plan.needs import checkpoint_mb
from fairlab.plan.plan import Plan
from fairlab.presets import load_preset
from fairlab.queue.launch import write_study
from fairlab.settings.study import changed
from fairlab.store.runs import RunRecord, create_run
from fairlab.workspace import Workspace

IRESNET34 = 34_165_239
"""Parameters of the network of 512 dims, as its own module counts them."""


def planned(lab: Workspace, **dials: object) -> Plan:
    return expand(
        changed(load_preset("tiny"), {name.replace("__", "."): value for name, value in dials.items()}), "tiny", lab
    )


def first(plan: Plan, role: str) -> RunRecord:
    return next(run.record for run in plan.runs if run.record.role == role)


def only(plan: Plan, role: str) -> Plan:
    """All but the first run of this role are done."""
    left = first(plan, role)
    return replace(plan, runs=tuple(replace(run, status="new" if run.record is left else "done") for run in plan.runs))


def measured(lab: Workspace, plan: Plan) -> None:
    kinds = {key: {"step_s": 2.0, "embed_s": 0.0, "flops": 1.0} for key in _keys(lab, plan).values()}
    write_json(_probe_file(lab, plan), {"start_s": 1.0, "render_s": 0.0, "timed": True, "kinds": kinds})


@pytest.mark.parametrize(("optimiser", "copies"), [("sgd", 2), ("adamw", 3)])
def test_a_large_network_needs_room_for_three_checkpoints_and_its_weights(
    lab: Workspace, optimiser: str, copies: int
) -> None:
    """In each: every weight and the optimiser's memory of it, 4 bytes each; the classifier has 1,000 people's rows too."""
    plan = only(
        planned(
            lab,
            teacher__backbone__name="iresnet34",
            teacher__backbone__embedding_dim=512,
            teacher__training__optimiser=optimiser,
            demo__train_identities=1000,
        ),
        "teacher",
    )
    images = 2 * (1000 * 6 + 2 * 6 + 6 * 5 + 10 * 5)
    numbers = IRESNET34 + 1000 * 512
    embeddings, found = 2 * images * 512 * 4, disk_bytes(lab, plan)
    assert found == pytest.approx(embeddings + 10e6 + numbers * 4 * (3 * copies + copies / 2), abs=2)
    assert found > 900e6


def test_a_plan_that_was_looked_at_is_known_once_its_runs_are_there(lab: Workspace) -> None:
    """What such runs have written counts from then on."""
    plan = only(planned(lab), "teacher")
    record, before = first(plan, "teacher"), disk_bytes(lab, plan)
    for run in planned(lab).runs:
        create_run(lab, run.record)
    write_study(lab, planned(lab))
    other = next(r.record for r in planned(lab).runs if r.record.role == "teacher" and r.record.run_id != record.run_id)
    folder = other.folder / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    (folder / "learner.safetensors").write_bytes(bytes(2_000_000))
    assert checkpoint_mb(lab, record) == 2.0
    assert disk_bytes(lab, plan) - before == 7_000_000 - round(3.5 * 8 * (2_691_845 + 12 * 16))


def test_once_measured_a_network_is_as_large_as_it_is(lab: Workspace) -> None:
    """Convolutions 9ab, batch norms 2b, PReLUs b; then 16 x 4 x 4 features to 16, a batch norm, and 12 people's rows."""
    plan = only(planned(lab), "teacher")
    stages = sum(9 * a * b + 18 * b * b + 9 * b for a, b in ((3, 8), (8, 12), (12, 16)))
    numbers = stages + 256 * 16 + 16 + 32 + 12 * 16
    measure(lab, plan)
    assert disk_bytes(lab, plan) == 2 * 328 * 16 * 4 + 10_000_000 + 28 * numbers


def test_a_student_of_the_space_alone_has_no_classifier(lab: Workspace) -> None:
    """a-KD learns no identities, so ten times as many people make its network no larger."""
    kinds = {"students": ["a_kd"]}
    few, many = (planned(lab, **kinds, demo__train_identities=people) for people in (12, 12000))
    alone = [only(plan, "student") for plan in (few, many)]
    sizes = [disk_bytes(lab, plan) - 2 * _images(plan, lab)[0] * 16 * 4 for plan in alone]
    assert first(few, "student").method == "a_kd"
    assert sizes[0] == sizes[1]


def test_a_measurement_is_not_shown_for_another_number_of_people(lab: Workspace) -> None:
    few, many = planned(lab), planned(lab, demo__train_identities=5000)
    measured(lab, few)
    assert estimate(lab, few) is not None
    assert estimate(lab, many) is None


def test_what_learns_from_longer_embeddings_is_measured_anew(lab: Workspace) -> None:
    """The common space's own settings are the same."""
    short, long = planned(lab), planned(lab, teacher__backbone__embedding_dim=64)
    keys = [_keys(lab, plan)[first(plan, "adaptor").run_id] for plan in (short, long)]
    assert keys[0] != keys[1]


def test_of_registered_data_the_people_of_each_runs_groups_count(tiny: Workspace, lab: Workspace) -> None:
    """One teacher for each group, of 12 people; the common space has the 24 of both."""
    name = next(tiny.datasets_folder.iterdir()).name
    lab.datasets_folder.mkdir(exist_ok=True)
    lab.dataset(name).symlink_to(tiny.dataset(name))
    assert len(open_dataset(lab.dataset(name)).images) == 2 * (12 * 6 + 6 * 5 + 10 * 5 + 2 * 6)
    generated = planned(lab)
    registered = planned(lab, demo=None, dataset=name)
    one, other = (
        {run.record.title: _keys(lab, plan)[run.record.run_id] for run in plan.runs if run.steps}
        for plan in (generated, registered)
    )
    assert one == other
    check_disk(lab, registered)


def test_a_measurement_that_fails_is_said_and_not_tried_again_at_once(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Launch page said "timing" for ever."""
    plan, started = planned(lab), []
    request = _probe_file(lab, plan).with_suffix(".request")
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **_options: started.append(command))
    request_probe(lab, plan)
    assert len(started) == 1
    monkeypatch.setattr(module, "measure", lambda *_: (_ for _ in ()).throw(MemoryError("no memory\nfor this")))
    with pytest.raises(MemoryError):
        run_request(lab, request)
    assert probe_failure(lab, plan) == "no memory"
    assert not request.exists()
    request_probe(lab, plan)
    assert len(started) == 1
    old = request.with_suffix(".failed").stat().st_mtime - 601
    os.utime(request.with_suffix(".failed"), (old, old))
    assert probe_failure(lab, plan) == ""
    request_probe(lab, plan)
    assert len(started) == 2
