"""Where the readings of runs also go, beside the run folder; nothing by default."""

from __future__ import annotations

from pydantic import Field

from fairlab.settings import Name, Settings, Text


class Loggers(Settings):
    """Kept in the workspace, for the runs that start from now on. No number depends on it."""

    tensorboard: bool = Field(
        False, description="Also write event files that TensorBoard shows: runs/<run>/tensorboard (no package needed)."
    )
    mlflow: bool = Field(False, description="Also tell an MLflow server, named below (needs the extra mlflow).")
    mlflow_uri: Text = Field(
        "",
        description="Tracking URI, e.g. http://server:5000 or sqlite:////path/mlflow.db; empty: MLFLOW_TRACKING_URI.",
    )
    mlflow_experiment: Name = Field(
        "FairLab", min_length=1, description="Experiment of the server that runs are put in."
    )
