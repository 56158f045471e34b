"""Before data are believed, and when they may have changed: the report, previews, duplicates, names shared by two sets, moved files."""
