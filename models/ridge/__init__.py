"""Exact ridge regression for all genes at once."""
