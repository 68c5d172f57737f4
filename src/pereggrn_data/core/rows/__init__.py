"""Rows of matrices, in memory or not: read in blocks, summed by group, and their medians."""
