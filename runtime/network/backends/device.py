"""The device that networks run on, as given by the user."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from base.errors import SettingsError
from runtime.settings.config_values import in_short

DeviceKind = Literal["cpu", "cuda", "gpu"]
"""The CPU, an NVIDIA GPU, or an Intel GPU."""
DEVICES = "cpu, or cuda:0 (an NVIDIA GPU), or gpu:0 (an Intel GPU)"
"""The accepted names, in words."""


@dataclass(frozen=True)
class Device:
    """The CPU or one of the GPUs."""

    kind: DeviceKind
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


def parse_device(name: str) -> Device:
    """Parse a device: `cpu`, `cuda:N` or `gpu:N`. Raises SettingsError for any other text."""
    match = re.fullmatch(r"(cpu)|(cuda|gpu):([0-9]{1,3})", name)
    if match is None:
        raise SettingsError(f"device is {in_short(name)}: give {DEVICES}")
    return Device(cast(DeviceKind, match[1] or match[2]), int(match[3] or 0))
