"""A run told to an MLflow server: its settings, its readings by step, its final numbers with their intervals.

runs/<run>/mlflow.json remembers which run of the server it is and how far it was told, so a resumed run stays one run.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlab.errors import FairLabError
from fairlab.files import read_json, write_json
from fairlab.jobs.loggers.base import LOGGERS
from fairlab.settings.loggers import Loggers
from fairlab.settings.user import user_settings
from fairlab.store.results import judged_on, read_results
from fairlab.store.runs import RunRecord

FILE = "mlflow.json"
MOST_METRICS, MOST_PARAMS, LONGEST = 1000, 100, 500
"""Of one request, and letters of a value; the servers' own limits."""
STATUS = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it tells its makers of every run otherwise
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@LOGGERS.register("mlflow", title="MLflow", sentence="settings, readings and final numbers on your own server")
class MlflowServer:
    """One run of the server for a run of ours, whatever attempts it takes."""

    def __init__(self, record: RunRecord, attempt: int, settings: Loggers) -> None:
        uri = user_settings().mlflow.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise FairLabError("no server is named: `fairlab settings config --set mlflow.uri=http://SERVER:5000`")
        os.environ.update(QUIET)
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise FairLabError("MLflow is not installed: install fairlab[mlflow], or switch mlflow off") from error
        self.record, self.client, self.uri = record, MlflowClient(tracking_uri=uri), uri
        known = read_json(record.folder / FILE) if (record.folder / FILE).exists() else {}
        if known.get("uri") == uri:
            self.run, self.offset = str(known["run"]), int(known["offset"])
            self.client.update_run(self.run, status="RUNNING")
            return
        self.run, self.offset = self._made(settings.mlflow_experiment), 0
        params = dict(_flat(record.config.model_dump(mode="json", exclude_none=True)))
        self._batches("params", list(params.items()), MOST_PARAMS)
        self._remember()

    def _made(self, experiment: str) -> str:
        """A new run on the server."""
        known = self.client.get_experiment_by_name(experiment)
        number = known.experiment_id if known else self.client.create_experiment(experiment)
        tags = {name: str(getattr(self.record, name)) for name in ("run_id", "study", "preset", "code_version")}
        tags["parents"] = " ".join(self.record.parents)
        said = {f"fairlab.{name}": value for name, value in tags.items()}
        made = self.client.create_run(number, tags=said, run_name=self.record.title)
        return str(made.info.run_id)

    def write(self, lines: Sequence[dict[str, Any]], offset: int) -> None:
        at = int(time.time() * 1000)
        rows = [(name, value, at, line["step"]) for line in lines for name, value in line["values"].items()]
        self._batches("metrics", rows, MOST_METRICS)
        self.offset = offset
        self._remember()

    def end(self, status: str) -> None:
        if status == "done":
            self._batches("metrics", list(self._numbers()), MOST_METRICS)
        self.client.set_terminated(self.run, STATUS[status])

    def _numbers(self) -> Iterator[tuple[str, float, int, int]]:
        """Final numbers: data set/protocol/group/metric[/operating point], and the ends of their intervals."""
        at = int(time.time() * 1000)
        for dataset in judged_on(self.record.folder):
            for row in read_results(self.record.folder, dataset, "metrics").itertuples():
                name = "/".join(
                    str(part) for part in (dataset, row.protocol, row.group, row.metric, row.operating_point) if part
                )
                values = {name: row.value, f"{name}/low": row.low, f"{name}/high": row.high}
                yield from ((key, float(value), at, 0) for key, value in values.items() if value == value)

    def _batches(self, kind: str, rows: Sequence[tuple[Any, ...]], most: int) -> None:
        from mlflow.entities import Metric, Param

        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            if kind == "metrics":
                made = [Metric(key(name), float(value), at, step) for name, value, at, step in part]
                self.client.log_batch(self.run, metrics=made)
            else:
                self.client.log_batch(self.run, params=[Param(key(name), str(value)[:LONGEST]) for name, value in part])

    def _remember(self) -> None:
        write_json(self.record.folder / FILE, {"uri": self.uri, "run": self.run, "offset": self.offset})


def key(name: str) -> str:
    """A name as the servers take it: other signs than theirs become _."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
