"""Tests of fairlab/data/formats."""
