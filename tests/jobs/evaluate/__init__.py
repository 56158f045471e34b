"""Tests of fairlab/jobs/evaluate."""
