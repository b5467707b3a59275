"""Measure a package on portraits: what its loop gains, the effect of half precision, INT8."""

import base  # noqa: F401  Ctrl-C ends a start at once
