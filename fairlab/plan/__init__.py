"""From a study to runs: which there are, which are done already, what each needs, how long all of it takes.

Plans are records and numbers, no torch, and nothing starts here. May import data, models' registrations, methods, store and what lies below.
To add a dial of the grid: a field in settings/, its loop in `grid`.
"""
