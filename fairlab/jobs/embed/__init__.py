"""A model's space over a data set: embedded in parts, by one process or several."""
