"""Pipelines join the other packages: open a file, check it, compute, write the result."""
