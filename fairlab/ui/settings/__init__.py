"""The parts of the page pages/settings.py."""
