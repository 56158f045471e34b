"""Tests of fairlab/data/readers/scores."""
