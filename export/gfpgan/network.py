"""GFPGAN as published: the reference that all other forms are compared with, and the benchmark's baseline.

Wang et al., *Towards Real-World Blind Face Restoration with Generative Facial Prior*, CVPR 2021;
transcribed from gfpganv1_clean_arch.py and stylegan2_clean_arch.py of TencentARC/GFPGAN. The modules have
the names of the published checkpoints, so a state dict loads as it is. Noise is that of the stored buffers,
as with `randomize_noise=False`: the published default draws new noise in each run.
"""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.gfpgan.layout import GfpganLayout
from export.layers import EPSILON, GAIN, LEAK


def scaled(x: Tensor, factor: float) -> Tensor:
    """Scale the height and width of B×C×H×W bilinearly."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ResBlock(nn.Module):
    """A residual block that halves or doubles the resolution."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H′×W′."""
        out = scaled(F.leaky_relu(self.conv1(x), LEAK), self.factor)
        return F.leaky_relu(self.conv2(out), LEAK) + cast(Tensor, self.skip(scaled(x, self.factor)))


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, affine in w."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style_dim: int, *, demodulate: bool) -> None:
        super().__init__()
        self.modulation = nn.Linear(style_dim, inputs)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Convolve B×inputs×H×W with weights made from w, B×style_dim: one kernel per sample, as groups."""
        b, _, height, width = x.shape
        _, outputs, inputs, k, _ = self.weight.shape
        weight = self.weight * self.modulation(w).reshape(b, 1, inputs, 1, 1)
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        kernels = weight.reshape(b * outputs, inputs, k, k)
        out = F.conv2d(x.reshape(1, b * inputs, height, width), kernels, padding=k // 2, groups=b)
        return out.reshape(b, outputs, height, width)


class StyleConv(nn.Module):
    """A modulated convolution, perhaps after a doubling, with noise, bias and activation."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(inputs, outputs, 3, style_dim, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.doubles = doubles

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×outputs×H′×W′; noise is 1×1×H′×W′."""
        out = self.modulated_conv(scaled(x, 2) if self.doubles else x, w) * GAIN
        return F.leaky_relu(out + self.weight * noise + self.bias, LEAK)


class ToRGB(nn.Module):
    """The picture at one resolution, added to the one below."""

    def __init__(self, inputs: int, style_dim: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        """Return B×3×H×W; `below` is the picture at half the resolution."""
        rgb: Tensor = self.modulated_conv(x, w) + self.bias
        return rgb if below is None else rgb + scaled(below, 2)


class Constant(nn.Module):
    """The learned 4×4 picture that the generator starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 4, 4))


class Decoder(nn.Module):
    """StyleGAN2's generator, whose features are scaled and shifted by the encoder's."""

    def __init__(self, layout: GfpganLayout) -> None:
        super().__init__()
        self.layout = layout
        style_dim, width = layout.style_dim, layout.channels
        self.constant_input = Constant(width(4))
        self.style_conv1 = StyleConv(width(4), width(4), style_dim)
        self.to_rgb1 = ToRGB(width(4), style_dim)
        self.style_convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for resolution in layout.resolutions[1:]:
            below, here = width(resolution // 2), width(resolution)
            self.style_convs.append(StyleConv(below, here, style_dim, doubles=True))
            self.style_convs.append(StyleConv(here, here, style_dim))
            self.to_rgbs.append(ToRGB(here, style_dim))
        self.noises = nn.Module()
        for i in range(2 * len(layout.resolutions) - 1):
            side = 2 ** ((i + 5) // 2)
            self.noises.register_buffer(f"noise{i}", torch.randn(1, 1, side, side))

    @property
    def convs(self) -> list[StyleConv]:
        """Return the style convolutions: one at 4×4, then two at each resolution, the first doubling."""
        return [self.style_conv1, *cast(list[StyleConv], self.style_convs)]

    @property
    def rgbs(self) -> list[ToRGB]:
        """Return the to_rgb of each resolution from 4×4 up to S×S."""
        return [self.to_rgb1, *cast(list[ToRGB], self.to_rgbs)]

    def noise(self, i: int) -> Tensor:
        """Return the noise of a style convolution, 1×1×H×W."""
        return cast(Tensor, getattr(self.noises, f"noise{i}"))

    def forward(self, w: Tensor, conditions: list[Tensor]) -> Tensor:
        """Return the restored crop, B×3×S×S.

        w           B×(styles · style_dim)
        conditions  scale and shift of 8×8, of 16×16, …
        """
        ws = styles_of(w, self.layout)
        constant = self.constant_input.weight.expand(len(w), -1, -1, -1)
        x = self.style_conv1(constant, ws[0], self.noise(0))
        rgb = self.to_rgb1(x, ws[1], None)
        for i in range(len(self.to_rgbs)):
            x = self.style_convs[2 * i](x, ws[2 * i + 1], self.noise(2 * i + 1))
            scale, shift = conditions[2 * i : 2 * i + 2]
            kept, changed = torch.split(x, [x.shape[1] - scale.shape[1], scale.shape[1]], 1)
            x = torch.cat((kept, changed * scale + shift), 1)
            x = self.style_convs[2 * i + 1](x, ws[2 * i + 2], self.noise(2 * i + 2))
            rgb = self.to_rgbs[i](x, ws[2 * i + 3], rgb)
        return cast(Tensor, rgb)


class Gfpgan(nn.Module):
    """The whole network: a U-Net that makes style vectors and conditions, and the generator."""

    def __init__(self, layout: GfpganLayout) -> None:
        super().__init__()
        self.layout = layout
        width, resolutions = layout.encoder_channels, layout.resolutions
        self.conv_body_first = nn.Conv2d(3, width(layout.size), 1)
        self.conv_body_down = nn.ModuleList(
            ResBlock(width(r), width(r // 2), 0.5) for r in resolutions[:0:-1]
        )
        self.final_conv = nn.Conv2d(width(4), width(4), 3, 1, 1)
        self.conv_body_up = nn.ModuleList(ResBlock(width(r // 2), width(r), 2) for r in resolutions[1:])
        self.final_linear = nn.Linear(width(4) * 16, layout.styles * layout.style_dim)
        self.stylegan_decoder = Decoder(layout)
        self.condition_scale, self.condition_shift = (
            nn.ModuleList(_head(width(r), layout.condition_channels(r)) for r in resolutions[1:])
            for _ in range(2)
        )

    @classmethod
    def from_state(cls, layout: GfpganLayout, state: Mapping[str, Tensor]) -> "Gfpgan":
        """Return the network that holds a checkpoint's tensors, in evaluation mode."""
        with torch.device("meta"):
            network = cls(layout)
        network.load_state_dict(dict(state), assign=True)
        return network.eval().requires_grad_(False)

    def encode(self, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return z, B×(styles · style_dim), and the conditions of a crop, B×3×S×S in [−1, 1]."""
        x = F.leaky_relu(self.conv_body_first(crop), LEAK)
        skips: list[Tensor] = []
        for block in self.conv_body_down:
            x = block(x)
            skips.insert(0, x)
        x = F.leaky_relu(self.final_conv(x), LEAK)
        z = self.final_linear(x.flatten(1))
        conditions: list[Tensor] = []
        for i, block in enumerate(self.conv_body_up):
            x = block(x + skips[i])
            conditions += [self.condition_scale[i](x), self.condition_shift[i](x)]
        return z, conditions

    def forward(self, crop: Tensor) -> Tensor:
        """Restore a crop, B×3×S×S in [−1, 1], in the published single pass; the output is not clamped."""
        z, conditions = self.encode(crop)
        return self.stylegan_decoder(z, conditions)  # type: ignore[no-any-return]


def styles_of(w: Tensor, layout: GfpganLayout) -> list[Tensor]:
    """Return the style vector, B×style_dim, of each layer of the generator, in the order of use.

    A to_rgb has the style of the next resolution's first convolution.
    """
    ws = torch.split(w, layout.style_dim, 1)
    return list(ws) if layout.different_w else list(ws) * (2 * len(layout.resolutions))


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, 1, 1), nn.LeakyReLU(LEAK), nn.Conv2d(inputs, outputs, 3, 1, 1)
    )
