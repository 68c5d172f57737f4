"""Rules of the uniform format: frames and facts go in, a report comes out."""
