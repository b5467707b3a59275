"""The network that is timed: its kind, and its sizes by their names in a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """A restoring network."""

    kind: str
    """Its name in a manifest: `gpen`."""
    sizes: Mapping[str, Any]
    """`size`, and what else was read off its tensors."""

    @property
    def size(self) -> int:
        """Return S, the height and width of its crops."""
        return int(self.sizes["size"])

    @property
    def title(self) -> str:
        """Return its name with its size: GPEN-512."""
        return f"{self.kind.upper()}-{self.size}"
