"""Tests of fairlab/jobs."""
