"""The kinds of networks that can be exported, one row each."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from base.errors import CheckpointError, SettingsError
from base.text import one_line
from export.architecture import AnyNetwork, Architecture
from export.checkpoint import read_checkpoint, tensors_of
from export.gfpgan.architecture import GFPGAN
from export.gpen.architecture import GPEN
from export.parsenet.architecture import PARSENET
from export.parsing_network import ParsingNetwork
from export.restoring import RestoringNetwork
from export.state_dict import known_names

RESTORING: tuple[Architecture[Any, RestoringNetwork], ...] = (GPEN, GFPGAN)
"""Networks that restore faces, for `python -m export`."""
PARSING: tuple[Architecture[Any, ParsingNetwork], ...] = (PARSENET,)
"""Networks that segment faces, for `python -m export parsing`."""
OTHERS = (
    (re.compile(r"quantize\.embedding\.weight"), "CodeFormer or another VQGAN"),
    (
        re.compile(r"conv_body_first\.0\.weight"),
        "GFPGANv1.pth, whose layout differs from that of GFPGAN 1.2, 1.3 and 1.4",
    ),
    (
        re.compile(r"(model\.|params_ema\.)?body\.0\.rdb1\.conv1\.weight"),
        "Real-ESRGAN, an upscaler",
    ),
)
"""A tensor name by which checkpoints that people confuse with these are recognised, and their title."""


def load_restoring(path: Path) -> tuple[str, RestoringNetwork]:
    """Read the checkpoint of a face-restoring network; its kind follows from its tensors alone.

    Returns the kind and the network. Raises CheckpointError like `load_tensors`, also for the checkpoint of
    any other network.
    """
    content = read_checkpoint(path)
    for pattern, title in OTHERS:
        if known_names(content, pattern):
            known = " and ".join(each.title.removesuffix(" network") for each in RESTORING)
            raise CheckpointError(f"checkpoint {path} looks like {title}: only checkpoints of {known} work")
    found = _likeliest(content, RESTORING)
    other = _likeliest(content, (found, *PARSING))
    if other is not found:
        raise CheckpointError(
            f"checkpoint {path} is a {other.title}, which segments faces: "
            "add it to a package with python -m export parsing"
        )
    return found.kind, found.load(*tensors_of(path, content, found))


def random_restoring(kind: str, sizes: Mapping[str, Any]) -> nn.Module:
    """Return a published network with random weights.

    kind   of RESTORING
    sizes  by their names in a manifest, `size` among them
    """
    (random,) = (row.random for row in RESTORING if row.kind == kind and row.random)
    return random(sizes)


def published_sizes(kind: str, size: int) -> Mapping[str, Any]:
    """Return the sizes, by their names in a manifest, of the network of a kind that is published for crops.

    size  S, height and width of the crops

    Raises SettingsError if there is none.
    """
    published = {row.kind: {sizes["size"]: sizes for sizes in row.published} for row in RESTORING}
    if kind not in published:
        raise SettingsError(f"--kind {one_line(kind)}: no such network, give one of {', '.join(published)}")
    if size not in published[kind]:
        there = ",".join(map(str, published[kind]))
        raise SettingsError(f"{kind} is not published for crops of {size} pixels: give --size-of {there}")
    return published[kind][size]


def load_parsing(path: Path) -> ParsingNetwork:
    """Read the checkpoint of a face-parsing network. Raises CheckpointError like `load_tensors`."""
    content = read_checkpoint(path)
    found = _likeliest(content, PARSING)
    return found.load(*tensors_of(path, content, found))


def _likeliest(content: Any, known: Sequence[Architecture[Any, AnyNetwork]]) -> Architecture[Any, AnyNetwork]:
    """Return the kind of network that matches the most tensors of a checkpoint; if none match, the first."""
    return max(known, key=lambda architecture: known_names(content, architecture.names))
