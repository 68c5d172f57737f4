"""Types of split, what each promises, and what they divide."""
