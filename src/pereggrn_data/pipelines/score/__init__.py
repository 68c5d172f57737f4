"""Score predictions against the held-out part of a dataset."""
