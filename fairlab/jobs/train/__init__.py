"""What a run gets from its parents."""
