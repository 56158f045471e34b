"""Containers, read in place: RecordIO, tar, LMDB, verification packs, pickles, MATLAB, .npy, tables and lists of text.

They know bytes, rows and errors by place, and no data set: what a record means is said in readers/. Nothing is unpacked, no code of a
file runs, and what a header declares is checked before memory is taken. Each has a test with files that lie.
"""
