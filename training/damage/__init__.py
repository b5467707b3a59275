"""Damage that photos suffer, drawn at random and applied to crops for training."""
