"""Repairing a model's scores without training: who the cohort is, that nobody leaks, the fit, and its use on other scores."""
