"""The parts of the page pages/launch.py."""
