"""Files that people bring and take: datasets, predictions, splits, tables and saved models."""
