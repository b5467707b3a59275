"""GFPGAN in the form that the exporter expects."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from export.architecture import Architecture
from export.gfpgan import static
from export.gfpgan.half import halve
from export.gfpgan.layout import TENSOR_NAMES, UNUSED, GfpganLayout, read_gfpgan_layout
from export.gfpgan.network import Gfpgan
from export.gfpgan.static import StaticGfpgan, Styled
from export.layers import same
from export.restoring import Form, Parts, RestoringNetwork
from export.winograd import quickened_layers

PUBLISHED_LICENCE = (
    "Apache-2.0 with exceptions: the LICENSE of github.com/TencentARC/GFPGAN (2026-11-26) excepts code of "
    "NVIDIA's StyleGAN2 and of DFDNet; the weights were trained on FFHQ (CC BY-NC-SA 4.0)"
)


def gfpgan_network(layout: GfpganLayout, state: dict[str, Tensor]) -> RestoringNetwork:
    """Return the network of a checkpoint's tensors."""
    network = Gfpgan.from_state(layout, state)
    numbers = asdict(layout)
    return RestoringNetwork(
        size=numbers.pop("size"),
        numbers=numbers | {"noise": "stored"},
        template="ffhq",
        licence=PUBLISHED_LICENCE,
        held=True,
        latent=layout.styles * layout.style_dim,
        features={
            f"{kind}_{r}": (layout.condition_channels(r), r, r)
            for r in layout.resolutions[1:]
            for kind in ("scale", "shift")
        },
        module=network,
        published=Parts(network.encode, lambda z: z, network.stylegan_decoder),
        constant=partial(_constant, network),
        without_noise=partial(_without_noise, layout, state),
    )


def random_gfpgan(sizes: Mapping[str, Any]) -> Gfpgan:
    """Return a network of these sizes with random weights; `noise`, which is no size, is ignored."""
    network = Gfpgan(GfpganLayout(**{name: value for name, value in sizes.items() if name != "noise"}))
    for layer in network.stylegan_decoder.convs:
        torch.nn.init.normal_(layer.weight)  # the strength of the noise: without it, nothing is added
    for name, parameter in network.named_parameters():
        if name.endswith("modulation.bias"):
            torch.nn.init.ones_(parameter)  # as published: styles vary around 1
    return network


def _without_noise(layout: GfpganLayout, state: dict[str, Tensor]) -> RestoringNetwork:
    quiet = {name: torch.zeros_like(value) if ".noises." in name else value for name, value in state.items()}
    network = gfpgan_network(layout, quiet)
    return replace(network, numbers={**network.numbers, "noise": "none"})


def _constant(network: Gfpgan, form: Form) -> Parts:
    net = {"exact": same, "winograd": quicken, "half": halve}[form](static.fold(network))
    return Parts(partial(static.encode, net), partial(static.map_latent, net), partial(static.generate, net))


def quicken(net: StaticGfpgan) -> StaticGfpgan:
    """Return the same network with Winograd convolution in the layers where it is faster on a CPU."""
    return replace(net, styled=quickened_layers(net.styled, Styled))


PUBLISHED = GfpganLayout(
    512, channel_multiplier=2, narrow=1.0, style_dim=512, different_w=True, sft_half=True
)
"""GFPGANv1.2 … v1.4."""

GFPGAN = Architecture(
    "gfpgan",
    "GFPGAN network",
    TENSOR_NAMES,
    read_gfpgan_layout,
    gfpgan_network,
    random_gfpgan,
    published=(asdict(PUBLISHED),),
    unused=UNUSED,
)
