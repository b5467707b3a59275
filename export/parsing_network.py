"""A face-parsing network for the exporter."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ParsingNetwork:
    """A published network with its weights.

    It maps crops, B×3×S×S in [−1, 1], to scores, B×classes×S×S.
    """

    size: int
    """S: height and width of its crops."""
    licence: str
    """Of the published weights."""
    published: Callable[[Tensor], Tensor]
    """As published: the reference for the graph."""
    constant: Callable[[], Callable[[Tensor], Tensor]]
    """Returns the form that is exported."""
