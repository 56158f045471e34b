"""Where a run's process is started: one file per engine."""
