"""What comes from elsewhere, before anything uses it: JSON and TOML, what people and spreadsheets make of tables, names, files that are
something else than they are called, and pickles, without calling what they name.

Below every other room: may import `errors` and `files` alone. JSON and TOML are read here and nowhere else.
"""
