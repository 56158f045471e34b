"""What can be said of every image of a space: a file per column, by which maps are coloured.

A column is a function `(Space, image ids (N,)) -> (N,)`: text, or numbers with NaN where there is none. To add one, write a
file here with `@COLUMNS.register("name", label="what the legend says")`. It may import the rooms below compare.
"""
