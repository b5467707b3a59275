"""Measure a package on portraits: latent statistics, the effect of half precision, INT8."""
