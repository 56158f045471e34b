"""Tests of fairlab/ui/door."""
