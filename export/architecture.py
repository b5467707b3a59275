"""A kind of network for the exporter: how its checkpoint is recognised, read and loaded."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from export.shapes import Shape

AnyLayout = TypeVar("AnyLayout")
AnyNetwork = TypeVar("AnyNetwork", covariant=True)


@dataclass(frozen=True)
class Architecture(Generic[AnyLayout, AnyNetwork]):
    """A kind of network."""

    kind: str
    """Its name in a package's manifest."""
    title: str
    """Its name in messages: "GPEN network"."""
    names: re.Pattern[str]
    """Matches the complete name of any of its tensors."""
    read_layout: Callable[[Mapping[str, Shape]], AnyLayout]
    """Reads its sizes off the tensors' shapes. Raises CheckpointError naming the first tensor that does not
    fit.
    """
    load: Callable[[AnyLayout, dict[str, Tensor]], AnyNetwork]
    """Creates the network from its tensors, float32."""
    random: Callable[[Mapping[str, Any]], nn.Module] | None = None
    """Returns the published network with random weights, of sizes by their names in a manifest."""
    published: tuple[Mapping[str, Any], ...] = ()
    """Sizes of the published networks, by their names in a manifest, for `random`."""
    unused: re.Pattern[str] | None = None
    """Matches the names of tensors that restoration does not need; they are dropped first."""
