"""Where the readings of runs also go, beside the run folder; nothing by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fairlab.settings.base import Name, Settings


class Loggers(Settings):
    """Kept in the workspace, for the runs that start from now on. No number depends on it."""

    tensorboard: bool = Field(
        False, description="Also write event files that TensorBoard shows: runs/<run>/tensorboard (no package needed)."
    )
    mlflow: bool = Field(
        False, description="Also tell the MLflow server of your configuration, mlflow.uri (needs the extra mlflow)."
    )
    mlflow_experiment: Name = Field(
        "FairLab", min_length=1, description="Experiment of the server that runs are put in."
    )
    notify: bool = Field(
        False,
        description="Tell the address or program of your configuration, notify.url or notify.command, when a study is done, a "
        "run of it fails, or it waits for you.",
    )


def without_server(raw: Any) -> tuple[Any, str]:
    """Loggers as a workspace has them, without a server that it names, and a sentence about that ("" for none)."""
    if not isinstance(raw, Mapping) or "mlflow_uri" not in raw:
        return raw, ""
    clean = {name: value for name, value in raw.items() if name != "mlflow_uri"}
    return clean, (
        "mlflow_uri is ignored, because a workspace may not say where numbers go; if it is yours, set it for your account "
        "with `fairlab settings config --set mlflow.uri=...`"
        if raw["mlflow_uri"]
        else ""
    )
