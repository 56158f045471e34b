"""Tests of fairlab/ui/launch."""
