"""What lies on the disk: usage, pruning, archives, deletion, age limits, and what cannot be read.

people/ forgets somebody, everywhere in the workspace. What deletes lists first what goes and what needs it. The highest room below `api`.
"""
