"""The parts of the page pages/data.py."""
