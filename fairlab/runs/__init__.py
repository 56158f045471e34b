"""Starting runs and carrying them out, each in its own process."""
