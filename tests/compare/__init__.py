"""Tests of fairlab/compare."""
