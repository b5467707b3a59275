"""ParseNet, the published face-parsing network, and the form of it that is exported.

A residual encoder halves the picture down to 32×32, residual blocks follow, and a residual decoder doubles it
again (Chen et al., "Progressive Semantic-Aware Style Transformation for Blind Face Restoration", CVPR 2021;
chaofengc/PSFRGAN, models/networks.py). Input: RGB in [−1, 1]. Output: a score for each of the 19 classes at
each pixel. Its second output, a picture, was only needed for training and is not computed.

`ParseNet` has the names and the arithmetic of the checkpoints, and is the reference for the export. `fold`
turns it into constants, with batch norms folded into the convolutions; `class_scores` computes with them.
"""

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.layers import LEAK, interleaved
from export.parsenet.layout import CLASSES, ParsingLayout


class Conv(nn.Module):
    """A 3×3 convolution with mirrored border; optionally after a doubling, normalised and activated."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, doubled: bool = False, normed: bool = False
    ) -> None:
        super().__init__()
        self.doubled = doubled
        self.conv2d = nn.Conv2d(
            inputs, outputs, 3, stride, padding=1, padding_mode="reflect", bias=not normed
        )
        self.norm: nn.Module = nn.Identity()
        if normed:
            self.norm = nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H′×W′."""
        if self.doubled:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return cast(Tensor, self.norm(self.conv2d(x)))


class Block(nn.Module):
    """A residual block that halves, doubles or keeps the resolution."""

    def __init__(self, inputs: int, outputs: int, *, halved: bool = False, doubled: bool = False) -> None:
        super().__init__()
        stride = 2 if halved else 1
        self.shortcut_func: nn.Module = nn.Identity()
        if halved or doubled:
            self.shortcut_func = Conv(inputs, outputs, stride=stride, doubled=doubled)
        self.conv1 = Conv(inputs, outputs, doubled=doubled, normed=True)
        self.conv2 = Conv(outputs, outputs, stride=stride, normed=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H′×W′."""
        return cast(Tensor, self.shortcut_func(x)) + cast(
            Tensor, self.conv2(F.leaky_relu(self.conv1(x), LEAK))
        )


class ParseNet(nn.Module):
    """The network as published."""

    def __init__(self, layout: ParsingLayout) -> None:
        super().__init__()
        widths = layout.widths
        down = itertools.pairwise(widths)
        up = itertools.pairwise(widths[::-1])
        self.encoder = nn.Sequential(
            Conv(3, widths[0]), *(Block(above, below, halved=True) for above, below in down)
        )
        self.body = nn.Sequential(*(Block(widths[-1], widths[-1]) for _ in range(layout.depth)))
        self.decoder = nn.Sequential(*(Block(below, above, doubled=True) for below, above in up))
        self.out_img_conv = Conv(widths[0], 3)
        self.out_mask_conv = Conv(widths[0], CLASSES)

    @classmethod
    def from_state(cls, layout: ParsingLayout, state: dict[str, Tensor]) -> "ParseNet":
        """Return the network with a checkpoint's tensors, ready to run."""
        with torch.device("meta"):
            network = cls(layout)
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()

    def forward(self, crop: Tensor) -> Tensor:
        """Map B×3×S×S in [−1, 1] to scores, B×19×S×S."""
        features = self.encoder(crop)
        return cast(Tensor, self.out_mask_conv(self.decoder(features + self.body(features))))


@dataclass(frozen=True)
class Folded:
    """A convolution with mirrored border and its batch norm folded in."""

    weight: Tensor
    bias: Tensor
    stride: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H/stride×W/stride."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.weight, self.bias, self.stride)


@dataclass(frozen=True)
class Doubling:
    """Nearest-neighbour doubling followed by a 3×3 convolution.

    Two of the three lines that a line of the result depends on come from the same line before the doubling.
    So it is computed as four 2×2 convolutions at the low resolution, whose results are interleaved. Mirroring
    the border of the doubled picture repeats the border line.
    """

    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    """Kernels for even rows and even columns, even and odd, odd and even, odd and odd."""
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×2H×2W."""
        pads = ((1, 0, 1, 0), (0, 1, 1, 0), (1, 0, 0, 1), (0, 1, 0, 1))
        ee, eo, oe, oo = (
            F.conv2d(F.pad(x, pad, mode="replicate"), weight, self.bias)
            for pad, weight in zip(pads, self.phases, strict=True)
        )
        return interleaved(ee, eo, oe, oo)


@dataclass(frozen=True)
class FoldedBlock:
    """A residual block."""

    shortcut: Folded | Doubling | None
    first: Folded | Doubling
    second: Folded

    def __call__(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H′×W′."""
        detour = self.second(F.leaky_relu(self.first(x), LEAK))
        return detour + (self.shortcut(x) if self.shortcut else x)


@dataclass(frozen=True)
class FoldedParseNet:
    """The constants of a ParseNet."""

    start: Folded
    encoder: tuple[FoldedBlock, ...]
    body: tuple[FoldedBlock, ...]
    decoder: tuple[FoldedBlock, ...]
    scores: Folded


def class_scores(net: FoldedParseNet, crop: Tensor) -> Tensor:
    """Return each class's score at each pixel, B×19×S×S, of a crop, B×3×S×S in [−1, 1]."""
    x = net.start(crop)
    for block in net.encoder:
        x = block(x)
    features = x
    for block in net.body:
        x = block(x)
    x = features + x
    for block in net.decoder:
        x = block(x)
    return net.scores(x)


def fold(network: ParseNet) -> FoldedParseNet:
    """Return the constants of a network."""
    start, *encoder = network.encoder
    return FoldedParseNet(
        start=_folded(start),
        encoder=tuple(map(_folded_block, encoder)),
        body=tuple(map(_folded_block, network.body)),
        decoder=tuple(map(_folded_block, network.decoder)),
        scores=_folded(network.out_mask_conv),
    )


def _folded_block(module: nn.Module) -> FoldedBlock:
    block = cast(Block, module)
    first = block.conv1
    fold_first = _doubling if first.doubled else _folded
    shortcut = fold_first(block.shortcut_func) if isinstance(block.shortcut_func, Conv) else None
    return FoldedBlock(shortcut, fold_first(first), _folded(block.conv2))


def _folded(module: nn.Module) -> Folded:
    conv = cast(Conv, module)
    weight, bias, stride = conv.conv2d.weight, conv.conv2d.bias, conv.conv2d.stride[0]
    if bias is not None:
        return Folded(weight, bias, stride)
    norm = cast(nn.BatchNorm2d, cast(nn.Sequential, conv.norm)[0])
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / (variance + norm.eps).sqrt()
    return Folded(weight * scale[:, None, None, None], norm.bias - mean * scale, stride)


def _doubling(module: nn.Module) -> Doubling:
    folded = _folded(module)
    top, middle, bottom = folded.weight.unbind(2)
    phases = []
    for rows in ((top, middle + bottom), (top + middle, bottom)):
        left, centre, right = torch.stack(rows, 2).unbind(3)
        phases += [torch.stack((left, centre + right), 3), torch.stack((left + centre, right), 3)]
    ee, eo, oe, oo = phases
    return Doubling((ee, eo, oe, oo), folded.bias)
