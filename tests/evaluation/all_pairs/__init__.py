"""Tests of fairlab/evaluation/all_pairs."""
