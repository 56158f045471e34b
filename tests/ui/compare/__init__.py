"""Tests of fairlab/ui/compare."""
