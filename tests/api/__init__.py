"""Tests of fairlab/api."""
