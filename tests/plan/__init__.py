"""Tests of fairlab/plan."""
