"""From names to files: what there is, where it lies, and how it comes here."""
