"""Tests of fairlab/storage/people."""
