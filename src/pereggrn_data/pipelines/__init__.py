"""Pipelines join the rooms: open a file, check it, compute, write the result."""
