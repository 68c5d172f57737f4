"""Where fetched things lie, and collections of one's own."""
