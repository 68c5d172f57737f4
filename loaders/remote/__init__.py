"""HTTP: requests, pace, retries, parts of files, and what answers mean."""
