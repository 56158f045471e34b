"""How a model may be judged beyond a data set's own pair lists: one file per protocol."""
