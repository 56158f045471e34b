"""Tests of fairlab/jobs/protocols."""
