"""What a user can add: one file per kind of data on disk.

To add one: a class with `detect`, `listing` and `opener` (`data.listing.Reader`), registered by `@READERS.register("name", title=,
order=)`. It is then in the command's and the page's list, and tests/data/readers/test_contract.py tries it. Beside the readers lie their
lists: pairs as other people write them, RFW's and IJB's. Tables of scored pairs are in scores/.
"""
