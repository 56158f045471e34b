"""A study as a table in the papers' layout: rows per model, paired differences, published numbers beside them, exports.

May import jobs/ and what lies below; nothing here starts a run or writes into one.
"""
