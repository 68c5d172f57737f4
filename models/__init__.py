"""Reference models: pure computation, no files."""
