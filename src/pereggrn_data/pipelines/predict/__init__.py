"""Train a model on one side of a split, and forecast the other."""
