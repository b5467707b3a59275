"""The recipe that makes the bundled default weights."""
