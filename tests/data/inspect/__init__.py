"""Tests of fairlab/data/inspect."""
