"""Read numbers off the shapes of a checkpoint's tensors, and name the tensor that does not fit."""

import re
from collections import Counter
from collections.abc import Mapping

from base.errors import CheckpointError

Shape = tuple[int, ...]


def most_frequent(network: str, name: str, readings: list[int]) -> int:
    """Return the number that most tensors imply.

    Raises CheckpointError if none implies one: it is not that network, because the tensor of the given name
    is missing.
    """
    if not readings:
        raise CheckpointError(f"not a {network}: tensor {name!r} is missing")
    return Counter(readings).most_common(1)[0][0]


def highest(shapes: Mapping[str, Shape], pattern: str) -> list[int]:
    """Return the highest index among the names that match; nothing if none does."""
    indices = (int(match[1]) for name in shapes if (match := re.match(pattern, name)))
    return sorted(indices)[-1:]


def lengths(shapes: Mapping[str, Shape], pattern: str, *, axis: int) -> list[int]:
    """Return the length along an axis of each tensor whose name matches."""
    matching = (shape for name, shape in shapes.items() if re.fullmatch(pattern, name))
    return [shape[axis] for shape in matching if len(shape) > axis]


def check_shapes(
    expected: Mapping[str, Shape], shapes: Mapping[str, Shape], *, network: str, details: str
) -> None:
    """Raise CheckpointError naming the first tensor that is missing, misshapen or surplus.

    network  the expected network: "GPEN-512"
    details  the numbers that determine its shapes: "m=2, n=1"
    """
    surplus = next((name for name in shapes if name not in expected), None)
    for name, shape in expected.items():
        if name not in shapes:
            hint = f" (surplus: {surplus!r}; renamed?)" if surplus else ""
            raise CheckpointError(f"tensor {name!r} {list(shape)} is missing{hint}")
        if tuple(shapes[name]) != shape:
            raise CheckpointError(
                f"tensor {name!r} has shape {list(shapes[name])}, expected {list(shape)} "
                f"for a {network} with {details}"
            )
    if surplus:
        raise CheckpointError(f"tensor {surplus!r} is surplus: a {network} does not have it")
