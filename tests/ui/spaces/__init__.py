"""Tests of fairlab/ui/spaces."""
