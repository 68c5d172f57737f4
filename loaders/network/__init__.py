"""Gene regulatory networks whose edges stay on disk."""
