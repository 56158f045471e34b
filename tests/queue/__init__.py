"""Tests of fairlab/queue."""
