"""Tests of fairlab/reading."""
