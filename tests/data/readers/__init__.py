"""Tests of fairlab/data/readers."""
