"""Tests of fairlab/compare/columns."""
