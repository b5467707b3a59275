"""Measure a package on portraits: latent statistics, the effect of half precision, INT8."""

import base  # noqa: F401  Ctrl-C ends a start at once
