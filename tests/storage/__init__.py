"""Tests of fairlab/storage."""
