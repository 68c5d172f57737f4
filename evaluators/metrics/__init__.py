"""The metrics, and how each is computed."""
