"""The only place that downloads, opens files, speaks SQL or starts programs."""
