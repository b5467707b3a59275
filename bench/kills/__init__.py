"""The hot folder, killed at every step: whether each photo is delivered exactly once."""
