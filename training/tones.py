"""What is done to a crop and its target alike: the light it was taken in, grey and sepia."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Colours: TypeAlias = Literal["as they are", "grey", "sepia"]
LUMA = (0.299, 0.587, 0.114)
SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
"""The sepia of photo programs since Microsoft's ColorMatrix samples: rows give R, G, B."""
GAMMA = 2.2


@dataclass(frozen=True)
class Tone:
    """The light and colours of one crop."""

    colours: Colours = "as they are"
    strength: float = 1.0
    """Of the sepia, 0 (grey) to 1."""
    light: float = 1.0
    """Share of the light that is left, in linear light."""


PLAIN = Tone()


def toned(crops: Tensor, tones: Sequence[Tone]) -> Tensor:
    """Return crops, B×3×S×S, levels in [0, 255], in their light and colours, rounded."""
    members = [i for i, tone in enumerate(tones) if tone != PLAIN]
    if not members:
        return crops
    matrices = torch.stack([_matrix(tones[i]) for i in members]).to(crops.device)
    gain = torch.tensor([tones[i].light ** (1 / GAMMA) for i in members], device=crops.device)
    mixed = torch.einsum("bij,bjhw->bihw", matrices, crops[members])
    result = crops.clone()
    # Light scales linear values, hence stored ones by a power of it.
    result[members] = (mixed * gain[:, None, None, None]).clamp(0, 255).round()
    return result


def _matrix(tone: Tone) -> Tensor:
    if tone.colours == "as they are":
        return torch.eye(3)
    grey = torch.tensor(LUMA).expand(3, 3)
    if tone.colours == "grey":
        return grey
    return grey + tone.strength * (torch.tensor(SEPIA) @ grey - grey)
