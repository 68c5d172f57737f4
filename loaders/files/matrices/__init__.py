"""Matrices of expression in files, stores and memory: read in blocks, by one reader.

For the other modules of :mod:`pereggrn_data.loaders.files` only, whose face hands on what
is used elsewhere.
"""
