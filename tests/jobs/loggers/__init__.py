"""Tests of fairlab/jobs/loggers."""
