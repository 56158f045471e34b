"""Images and pairs, and where they come from. No torch."""
