"""Tests of fairlab/jobs/embed."""
