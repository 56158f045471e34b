"""Tests of fairlab/jobs/models."""
