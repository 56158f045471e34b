"""Tests of fairlab/models/backbones."""
