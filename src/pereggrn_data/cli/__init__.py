"""The command line: parse, call a pipeline, print, leave with an exit code."""
