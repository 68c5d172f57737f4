"""What exists: datasets, networks and releases. No network, no arrays."""
