"""A user's own SQL over networks, in a process that can write nothing."""
