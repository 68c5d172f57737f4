"""The only place that downloads, opens files or speaks SQL."""
