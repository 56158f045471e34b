"""Tests of fairlab/machine."""
