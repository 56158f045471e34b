"""Tests of fairlab/queue/engines."""
