"""The parts of the page pages/verification.py."""
