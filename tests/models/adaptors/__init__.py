"""Tests of fairlab/models/adaptors."""
