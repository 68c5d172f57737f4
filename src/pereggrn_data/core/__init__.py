"""What all of it knows: the format's constants, frozen types, errors and simple baselines."""
