"""Tests of fairlab/jobs/repair."""
