"""Tests of fairlab/jobs/data."""
