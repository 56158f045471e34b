"""Tests of fairlab/evaluation/identification."""
