"""Tests of fairlab/ui/fairness."""
