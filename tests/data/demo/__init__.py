"""Tests of fairlab/data/demo."""
