"""Measure on portraits whether the latent-decay loop of a package gains by updating the latent."""
