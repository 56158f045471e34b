"""The parts of the page pages/fairness.py."""
