"""The parts of the page pages/models.py."""
