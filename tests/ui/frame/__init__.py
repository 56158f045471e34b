"""Tests of fairlab/ui/frame."""
