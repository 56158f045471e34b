"""The parts of the page pages/spaces.py."""
