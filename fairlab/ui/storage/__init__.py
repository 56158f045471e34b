"""The parts of the page pages/storage.py."""
