"""What every room knows: the format's constants, frozen types, errors and simple baselines."""
