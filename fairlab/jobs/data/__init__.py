"""Jobs about data: adding, drawing pairs, the overlap check, what is missing, and how they are started."""
