"""Tests of fairlab/settings."""
