"""Tests of fairlab/cli."""
