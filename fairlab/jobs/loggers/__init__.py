"""Where readings of a run also go, if somebody asks for it: one file per kind."""
