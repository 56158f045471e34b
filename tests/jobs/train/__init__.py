"""Tests of fairlab/jobs/train."""
