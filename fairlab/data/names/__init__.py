"""What names tell: which folder is a part, a group or a person; who is shown, by a pattern; which image a row of a list means."""
