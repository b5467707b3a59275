"""GPEN as a kind of network for the exporter."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from export.architecture import Architecture
from export.gpen import static
from export.gpen.half import halve
from export.gpen.layout import TENSOR_NAMES, Layout, read_layout
from export.gpen.network import Gpen
from export.gpen.static import StaticGpen, Styled
from export.layers import same
from export.restoring import Form, Parts, RestoringNetwork
from export.winograd import quickened_layers

PUBLISHED_LICENCE = (
    "none granted for commercial use: github.com/yangxy/GPEN names no licence of its weights (2026-11-26); "
    "its README called them academic and non-commercial until 2026-03-10"
)


def gpen_network(layout: Layout, state: dict[str, Tensor]) -> RestoringNetwork:
    """Return the network of a checkpoint's tensors."""
    network = Gpen.from_state(layout, state)
    generator = network.generator
    numbers = asdict(layout)
    return RestoringNetwork(
        size=numbers.pop("size"),
        numbers=numbers,
        template="published",
        licence=PUBLISHED_LICENCE,
        latent=layout.style_dim,
        features={f"feature_{r}": (layout.channels(r), r, r) for r in layout.resolutions},
        module=network,
        published=Parts(network.encode, generator.map, generator),
        constant=partial(_constant, network),
    )


def random_gpen(sizes: Mapping[str, Any]) -> Gpen:
    """Return a network of these sizes with random weights."""
    network = Gpen(Layout(**sizes))
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):  # zero at first, which would cut the encoder's features off
            torch.nn.init.normal_(parameter)
    return network


def _constant(network: Gpen, form: Form) -> Parts:
    return parts_of({"exact": same, "winograd": quicken, "half": halve}[form](static.fold(network)))


def parts_of(net: StaticGpen) -> Parts:
    """Return the functions of the static-weight form."""
    return Parts(partial(static.encode, net), partial(static.map_latent, net), partial(static.generate, net))


def quicken(net: StaticGpen) -> StaticGpen:
    """Return the same network with Winograd convolution in the layers where it is faster on a CPU."""
    return replace(net, styled=quickened_layers(net.styled, Styled))


PUBLISHED = (
    Layout(256, channel_multiplier=1, narrow=0.5, style_dim=512, n_mlp=8),
    *(Layout(size, channel_multiplier=2, narrow=1.0, style_dim=512, n_mlp=8) for size in (512, 1024, 2048)),
)
"""GPEN-BFR-256 … 2048."""

GPEN = Architecture(
    "gpen",
    "GPEN network",
    TENSOR_NAMES,
    read_layout,
    gpen_network,
    random_gpen,
    published=tuple(map(asdict, PUBLISHED)),
)
