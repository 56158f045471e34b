"""The parts of the page pages/runs.py."""
