"""Errors in decibels."""

import math


def decibels(error: float, peak: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error in dB; infinity if there is none.

    peak  the range of the values
    """
    return 10 * math.log10(peak**2 / error) if error else math.inf
