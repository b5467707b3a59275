"""GPEN as published: the reference for all other forms, and the benchmark's baseline.

Yang et al., *GAN Prior Embedded Network for Blind Face Restoration in the Wild*, CVPR 2021. The modules have
the names of the published checkpoints, so a state dict loads unchanged. Here every convolution weight depends
on the latent; `export.gpen.static` computes the same function with constant weights.
"""

import math
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.gpen.layout import Layout
from export.layers import EPSILON, GAIN, LEAK

MAPPING_LR_MUL = 0.01


def blur_kernel() -> Tensor:
    """Return the 4×4 outer product of [1, 3, 3, 1], of sum 1."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = row[:, None] * row[None, :]
    return kernel / kernel.sum()


def activate(x: Tensor, bias: Tensor) -> Tensor:
    """Return √2 · leaky_relu(x + bias, 0.2); the bias lies along dimension 1."""
    return F.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.ndim - 2)), LEAK) * GAIN


def normalise(z: Tensor) -> Tensor:
    """Return z / √(mean(z²) + 1e-8), B×style_dim."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON)


def upfirdn(x: Tensor, kernel: Tensor, pad: tuple[int, int], up: int = 1) -> Tensor:
    """Insert zeros, pad all sides by (before, after), and convolve every channel of B×C×H×W with one kernel.

    The steps are those of published code on a CPU, even where nothing is inserted: the network is the
    benchmark's baseline.
    """
    b, c, h, w = x.shape
    spread = F.pad(x.reshape(b * c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
    padded = F.pad(spread.reshape(b * c, 1, up * h, up * w), pad * 2)
    out = F.conv2d(padded, kernel.flip(0, 1)[None, None])
    return out.reshape(b, c, *out.shape[2:])


class Bias(nn.Module):
    """A bias and its activation (published as FusedLeakyReLU)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Activate B×C×…."""
        return activate(x, self.bias)


class Blur(nn.Module):
    """The fixed kernel before a strided convolution (pad 2) or after a transposed one (pad 1, gain 4)."""

    kernel: Tensor

    def __init__(self, pad: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel() * gain)
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """Blur B×C×H×W."""
        return upfirdn(x, self.kernel, self.pad)


class EqualLinear(nn.Module):
    """A linear layer whose stored weights are multiplied by lr_mul/√fan_in, its bias by lr_mul."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.lr_mul = lr_mul
        self.scale = lr_mul / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs to B×outputs."""
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)


class ActivatedLinear(EqualLinear):
    """An equalised linear layer with activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Map B×inputs to B×outputs."""
        return activate(F.linear(x, self.weight * self.scale), self.bias * self.lr_mul)


class Normalise(nn.Module):
    """The mapping network's first step."""

    def forward(self, z: Tensor) -> Tensor:
        """Normalise B×style_dim."""
        return normalise(z)


class EqualConv(nn.Module):
    """A convolution without bias whose stored weights are multiplied by 1/√fan_in."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve B×inputs×H×W, unpadded."""
        return F.conv2d(x, self.weight * self.scale, stride=self.stride)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, affine in w."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate = demodulate
        self.upsample = upsample
        if upsample:
            self.blur = Blur(pad=(1, 1), gain=4.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Convolve B×inputs×H×W with weights made from w, B×style_dim: one kernel per sample, as groups."""
        b, _, height, width = x.shape
        _, outputs, inputs, k, _ = self.weight.shape
        style = self.modulation(w).reshape(b, 1, inputs, 1, 1)
        weight = self.scale * self.weight * style
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        x = x.reshape(1, b * inputs, height, width)
        if self.upsample:
            weight = weight.transpose(1, 2).reshape(b * inputs, outputs, k, k)
            out = F.conv_transpose2d(x, weight, stride=2, groups=b)
            return self.blur(out.reshape(b, outputs, *out.shape[2:]))  # type: ignore[no-any-return]
        out = F.conv2d(x, weight.reshape(b * outputs, inputs, k, k), padding=k // 2, groups=b)
        return out.reshape(b, outputs, height, width)


class Constant(nn.Module):
    """The learned 4×4 picture that the generator starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """Return it once per sample, B×C×4×4."""
        return self.input.expand(batch, -1, -1, -1)


class FeatureGain(nn.Module):
    """The learned scalar before an encoder feature (published as NoiseInjection)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """A modulated convolution, the encoder's feature beside it, one activation for both."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise = FeatureGain()
        self.activate = Bias(2 * outputs)

    def forward(self, x: Tensor, w: Tensor, feature: Tensor) -> Tensor:
        """Map B×inputs×H×W to B×2·outputs×H′×W′."""
        return self.activate(torch.cat((self.conv(x, w), self.noise.weight * feature), 1))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Doubling by zero insertion and the blur kernel, gain 4."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel() * 4)

    def forward(self, x: Tensor) -> Tensor:
        """Double the height and width of B×C×H×W."""
        return upfirdn(x, self.kernel, (2, 1), up=2)


class ToRGB(nn.Module):
    """The picture at one resolution, added to the one below."""

    def __init__(self, inputs: int, style_dim: int, *, upsample: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.conv = ModulatedConv(inputs, 3, 1, style_dim, demodulate=False)
        if upsample:
            self.upsample = Upsample()

    def forward(self, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        """Return B×3×H×W; `below` is the picture at half the resolution."""
        rgb: Tensor = self.conv(x, w) + self.bias
        return rgb if below is None else rgb + self.upsample(below)


class Generator(nn.Module):
    """StyleGAN2's generator with the encoder's features in place of noise."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        style_dim, width = layout.style_dim, layout.channels(4)
        self.style = nn.Sequential(
            Normalise(),
            *(ActivatedLinear(style_dim, style_dim, lr_mul=MAPPING_LR_MUL) for _ in range(layout.n_mlp)),
        )
        self.input = Constant(width)
        self.conv1 = StyledConv(width, width, style_dim)
        self.to_rgb1 = ToRGB(2 * width, style_dim, upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for resolution in layout.resolutions[1:]:
            below, here = layout.channels(resolution // 2), layout.channels(resolution)
            self.convs.append(StyledConv(2 * below, here, style_dim, upsample=True))
            self.convs.append(StyledConv(2 * here, here, style_dim))
            self.to_rgbs.append(ToRGB(2 * here, style_dim, upsample=True))

    @property
    def styled_convs(self) -> list[StyledConv]:
        """Return the styled convolutions: one at 4×4, then two at each resolution, the first doubling."""
        return [self.conv1, *cast(list[StyledConv], self.convs)]

    @property
    def rgbs(self) -> list[ToRGB]:
        """Return the to_rgb of each resolution from 4×4 up to S×S."""
        return [self.to_rgb1, *cast(list[ToRGB], self.to_rgbs)]

    def map(self, z: Tensor) -> Tensor:
        """Map z to w, B×style_dim both."""
        return self.style(z)  # type: ignore[no-any-return]

    def forward(self, w: Tensor, features: list[Tensor]) -> Tensor:
        """Return the restored crop, B×3×S×S; features from 4×4 up to S×S."""
        x = self.conv1(self.input(len(w)), w, features[0])
        rgb = self.to_rgb1(x, w, None)
        for i, to_rgb in enumerate(self.to_rgbs):
            for conv in self.convs[2 * i : 2 * i + 2]:
                x = conv(x, w, features[i + 1])
            rgb = to_rgb(x, w, rgb)
        return rgb  # type: ignore[no-any-return]


class Gpen(nn.Module):
    """The complete network: encoder, mapping and generator."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.generator = Generator(layout)
        outputs = layout.channels(layout.size)
        self.ecd0 = nn.Sequential(nn.Sequential(EqualConv(3, outputs, 1, 1), Bias(outputs)))
        for i, resolution in enumerate(layout.resolutions[-2::-1], start=1):
            inputs, outputs = outputs, layout.channels(resolution)
            stage = nn.Sequential(Blur(pad=(2, 2)), EqualConv(inputs, outputs, 3, 2), Bias(outputs))
            self.add_module(f"ecd{i}", nn.Sequential(stage))
        self.final_linear = nn.Sequential(ActivatedLinear(outputs * 16, layout.style_dim))

    @classmethod
    def from_state(cls, layout: Layout, state: Mapping[str, Tensor]) -> "Gpen":
        """Return the network that holds a checkpoint's tensors, in evaluation mode."""
        with torch.device("meta"):
            network = cls(layout)
        network.load_state_dict(dict(state), assign=True)
        return network.eval().requires_grad_(False)

    @property
    def encoder_stages(self) -> list[nn.Sequential]:
        """Return the encoder's stages from S×S down to 4×4."""
        return [getattr(self, f"ecd{i}")[0] for i in range(len(self.layout.resolutions))]

    def encode(self, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return z, B×style_dim, and the features from 4×4 up to S×S of a crop, B×3×S×S in [−1, 1]."""
        features: list[Tensor] = []
        x = crop
        for stage in self.encoder_stages:
            x = stage(x)
            features.insert(0, x)
        return self.final_linear(x.flatten(1)), features

    def forward(self, crop: Tensor) -> Tensor:
        """Restore a crop, B×3×S×S in [−1, 1], in the published single pass."""
        z, features = self.encode(crop)
        return self.generator(self.generator.map(z), features)  # type: ignore[no-any-return]
