"""Tests of fairlab/ui/runs."""
