"""Split a dataset, and check splits that somebody made."""
