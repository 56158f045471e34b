"""The parts of the page pages/compare.py."""
