"""Tests of fairlab/models/files."""
