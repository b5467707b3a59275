"""Text for messages."""

import pytest

from base.text import rounded


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        (1090.4, 3, "1090"),
        (12, 1, "10"),
        (0.01234, 2, "0.012"),
        (99.99, 3, "100"),
        (1.0, 3, "1"),
        (2e-7, 1, "0.0000002"),
    ],
)
def test_numbers_are_never_in_powers_of_ten(number: float, digits: int, text: str) -> None:
    assert rounded(number, digits) == text
