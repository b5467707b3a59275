"""Errors in decibels."""

import math

import pytest

from base.decibels import decibels


def test_known_errors() -> None:
    assert decibels(0.01, 1) == pytest.approx(20)
    assert decibels(4.0, 2) == 0
    assert decibels(0, 255) == math.inf
