"""Readings told to others: what TensorBoard and MLflow have of a run is what the run wrote, and they never hold it up."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fairlab.errors import FairLabError, Stopped
from fairlab.jobs.loggers import base
from fairlab.jobs.loggers.base import LOGGERS, followed, set_loggers, settings_of
from fairlab.jobs.loggers.tensorboard import FOLDER, TensorBoardFiles, crc32c
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.settings.loggers import Loggers
from fairlab.settings.study import changed
from fairlab.settings.user import set_user_settings
from fairlab.store.events import EventWriter
from fairlab.store.results import write_results
from fairlab.store.runs import RunRecord, create_run
from fairlab.tables import METRICS
from fairlab.workspace import Workspace
from tests.conftest import ROOT, command

FIXTURE = ROOT / "tests/fixtures/tensorboard/two_readings.tfevents"
"""Two readings as tensorboard 2.20's own RecordWriter and protobuf write them, all at 1700000000.25 s."""
READINGS = (
    (10, {"identity": 3.5, "gradient/identity": 0.25}),
    (300, {"identity": -1.5, "validation_accuracy/Gruppe Ä": 0.875, "lr": 0.0}),
)


@pytest.fixture
def teacher(lab: Workspace) -> RunRecord:
    plan = expand(changed(load_preset("tiny"), {}), "tiny", lab)
    record = next(run.record for run in plan.runs if run.record.role == "teacher")
    create_run(lab, record)
    return record


def told(
    lab: Workspace,
    record: RunRecord,
    attempt: int = 1,
    readings: tuple[tuple[int, dict[str, float]], ...] = READINGS,
    stopped: bool = False,
) -> None:
    """An attempt of the run that writes these readings and ends."""
    with followed(lab, record, attempt), EventWriter(record.folder, attempt) as events:
        for step, values in readings:
            events.write(step, 0, 1.0, values)
        if stopped:
            raise Stopped


def test_the_checksum_is_the_one_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_event_files_are_byte_for_byte_tensorboards_own(
    lab: Workspace, teacher: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_loggers(lab, Loggers(tensorboard=True))
    monkeypatch.setattr(time, "time", lambda: 1700000000.25)
    told(lab, teacher)
    (path,) = (teacher.folder / FOLDER).iterdir()
    assert path.read_bytes() == FIXTURE.read_bytes()


def test_tensorboard_shows_a_resumed_run_once(lab: Workspace, teacher: RunRecord) -> None:
    """Steps that were done again replace those that were lost with the kill."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    set_loggers(lab, Loggers(tensorboard=True))
    told(lab, teacher, 1, tuple((step, {"identity": float(step)}) for step in (10, 20, 30)))
    told(lab, teacher, 2, tuple((step, {"identity": step + 0.5}) for step in (20, 30, 40)))
    shown = reader.EventAccumulator(str(teacher.folder / FOLDER)).Reload()
    values = [(event.step, event.value) for event in shown.Scalars("identity")]
    assert values == [(10, 10.0), (20, 20.5), (30, 30.5), (40, 40.5)]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
@pytest.mark.parametrize("room", [0, 10, 50])
def test_a_full_disk_leaves_no_half_record(
    lab: Workspace, teacher: RunRecord, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """What is told again after it is byte for byte what would have been told without; the first of an attempt too."""
    import resource

    monkeypatch.setattr(time, "time", lambda: 1700000000.25)
    set_loggers(lab, Loggers(tensorboard=True))
    told(lab, teacher)
    expected = (teacher.folder / FOLDER / "events.out.tfevents.0000000001.fairlab").read_bytes()
    lines = [json.loads(line) for line in (teacher.folder / "events.jsonl").read_text().splitlines()]
    logger = TensorBoardFiles(teacher, 1, Loggers(tensorboard=True))
    for line in lines:
        before, limits = logger.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        try:
            with pytest.raises(FairLabError, match="could not write"):
                logger.write([line], 0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert logger.path.read_bytes() == before
        logger.write([line], 0)
    assert logger.path.read_bytes() == expected


def test_by_default_nobody_is_told_and_nothing_is_loaded(lab: Workspace, teacher: RunRecord) -> None:
    """No thread, no file, no import; `fairlab settings loggers` says how it is and changes it."""
    told(lab, teacher)
    assert sorted(path.name for path in teacher.folder.iterdir()) == ["events.jsonl", "run.json"]
    code = "import sys, fairlab.jobs.worker; print([n for n in sys.modules if 'mlflow' in n or 'tensorboard' in n])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "[]\n"
    assert "tensorboard = false" in command(lab.home, "settings", "loggers").stdout
    said = command(lab.home, "settings", "loggers", "--set", "tensorboard=true", "--set", "mlflow_experiment=Fair")
    assert "mlflow_experiment = Fair" in said.stdout
    assert settings_of(lab) == Loggers(tensorboard=True, mlflow_experiment="Fair")
    wrong = command(lab.home, "settings", "loggers", "--set", "wandb=true")
    assert (wrong.returncode, settings_of(lab).tensorboard) == (2, True)
    assert set(LOGGERS) <= set(Loggers.model_fields)


@pytest.mark.parametrize("server", ["http://127.0.0.1:9", ""])
def test_a_server_that_is_not_there_neither_stops_nor_slows_a_run(
    lab: Workspace,
    teacher: RunRecord,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor one that is not named, nor a missing package: said once."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FAIRLAB_CONFIG", str(lab.home.parent / "config"))
    set_user_settings({"mlflow.uri": server})
    monkeypatch.setattr(base, "LOOK_S", 0.01)
    monkeypatch.setattr(base, "AGAIN_S", 0.01)
    monkeypatch.setattr(base, "END_S", 1.0)
    set_loggers(lab, Loggers(mlflow=True))
    started = time.monotonic()
    with followed(lab, teacher, 1), EventWriter(teacher.folder, 1) as events:
        for step in range(20):
            events.write(step + 1, 0, 1.0, {"identity": 1.0})
            time.sleep(0.01)
        worked = time.monotonic() - started
    assert worked < 2
    assert time.monotonic() - started < worked + 2
    time.sleep(0.1)
    assert capsys.readouterr().out.count("mlflow does not record this run") <= 1


def test_a_server_that_never_answers_is_not_waited_for(
    lab: Workspace, teacher: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow.tracking")
    monkeypatch.setattr(base, "LOOK_S", 0.01)
    monkeypatch.setattr(base, "END_S", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("FAIRLAB_CONFIG", str(lab.home.parent / "config"))
        set_user_settings({"mlflow.uri": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        set_loggers(lab, Loggers(mlflow=True))
        started = time.monotonic()
        told(lab, teacher)
        assert time.monotonic() - started < 4


def test_mlflow_has_the_settings_readings_and_numbers_of_a_run(
    lab: Workspace, teacher: RunRecord, tmp_path: Path
) -> None:
    """A real MLflow with a store in SQLite: two attempts are one run there; read back by its own client."""
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy", reason="the store of the test's MLflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    set_loggers(lab, Loggers(mlflow=True, mlflow_experiment="Fair"))
    with pytest.MonkeyPatch.context() as mine:
        mine.setenv("FAIRLAB_CONFIG", str(tmp_path / "config"))
        set_user_settings({"mlflow.uri": uri})
        mine.setattr(base, "END_S", 120.0)  # the first use makes the database
        with pytest.raises(Stopped):
            told(lab, teacher, 1, READINGS[:1], stopped=True)
        client = tracking.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("Fair").experiment_id
        assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]
        metric = ("r", "test", "Group A", "accuracy", "", 0.9, 0.8, 0.95, 60, 60)
        numbers = pd.DataFrame([dict(zip(METRICS, metric, strict=True))])
        tables = {"metrics": numbers, "curves": pd.DataFrame({"x": [1]}), "scores": pd.DataFrame({"x": [1]})}
        write_results(teacher.folder, "faces", tables)
        told(lab, teacher, 2, READINGS[1:])
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.info.run_name) == ("FINISHED", teacher.title)
    assert run.data.params["training.epochs"] == str(teacher.config.training.epochs)  # type: ignore[union-attr]
    assert run.data.tags["fairlab.run_id"] == teacher.run_id
    history = client.get_metric_history(run.info.run_id, "identity")
    assert [(metric.step, metric.value) for metric in history] == [(10, 3.5), (300, -1.5)]
    assert run.data.metrics["validation_accuracy/Gruppe _"] == 0.875
    found = [run.data.metrics[f"faces/test/Group A/accuracy{end}"] for end in ("", "/low", "/high")]
    assert found == [0.9, 0.8, 0.95]
