"""Splits, metrics and scores: pure computation, no files."""
