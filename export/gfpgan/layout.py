"""The published layout: six numbers determine the name and shape of every tensor, and are read off the
shapes.

Versions 1.2, 1.3 and 1.4 are published for GFPGANv1Clean (TencentARC/GFPGAN,
gfpgan/archs/gfpganv1_clean_arch.py).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from base.errors import CheckpointError
from export.shapes import Shape, check_shapes, highest, lengths, most_frequent

DECODER = "stylegan_decoder"
_MODULATED = rf"{DECODER}\.(style_conv1|style_convs\.\d+|to_rgb1|to_rgbs\.\d+)"

TENSOR_NAMES = re.compile(
    r"((conv_body_first|final_conv|final_linear|conv_body_(down|up)\.\d+\.(conv[12]|skip)|toRGB\.\d+|"
    rf"condition_(scale|shift)\.\d+\.[02]|{DECODER}\.(style_mlp\.\d+|constant_input)|"
    rf"{_MODULATED}(\.modulated_conv(\.modulation)?)?)\.(weight|bias)|{DECODER}\.noises\.noise\d+)"
)
"""Matches the whole name of a tensor of any GFPGAN network."""

UNUSED = re.compile(rf"toRGB\.|{DECODER}\.style_mlp\.")
"""Matches the names of tensors that only training needed: pictures at lower resolutions, and a mapping
network that `input_is_latent` bypasses."""

SIZES = (64, 128, 256, 512, 1024)

_NETWORK = "GFPGAN network"


@dataclass(frozen=True)
class GfpganLayout:
    """The hyper-parameters of one GFPGAN network."""

    size: int
    """S: height and width of the crop, a power of two in 64…1024."""
    channel_multiplier: int
    """m: widens the resolutions above 32."""
    narrow: float
    """n: scales the width of every resolution."""
    style_dim: int
    """Width of a style vector."""
    different_w: bool
    """Whether each layer of the generator has its own style vector; otherwise all share one."""
    sft_half: bool
    """Whether only the second half of the channels is scaled and shifted; otherwise all are."""

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Return the resolutions 4, 8, … S."""
        return tuple(2**i for i in range(2, self.size.bit_length()))

    @property
    def styles(self) -> int:
        """Return the number of style vectors in z."""
        return 2 * len(self.resolutions) if self.different_w else 1

    def channels(self, resolution: int) -> int:
        """Return the generator's channels at a resolution (a power of two in 4…S)."""
        return self._channels(resolution, self.narrow)

    def encoder_channels(self, resolution: int) -> int:
        """Return the encoder's channels at a resolution: half of the generator's."""
        return self._channels(resolution, self.narrow / 2)

    def condition_channels(self, resolution: int) -> int:
        """Return the channels that are scaled and shifted at a resolution."""
        return self.encoder_channels(resolution) * (1 if self.sft_half else 2)

    def _channels(self, resolution: int, narrow: float) -> int:
        if resolution <= 32:
            return int(512 * narrow)
        return int(512 * 32 // resolution * self.channel_multiplier * narrow)

    def tensors(self) -> dict[str, Shape]:
        """Return the name and shape of every tensor needed for restoration, in the published order."""
        return dict(_encoder(self)) | dict(_decoder(self)) | dict(_conditions(self))


def read_gfpgan_layout(shapes: Mapping[str, Shape]) -> GfpganLayout:
    """Read a layout off a checkpoint's tensor shapes; if they disagree, the most frequent reading wins.

    Raises CheckpointError if the tensors are not those of a GFPGAN network, naming the first that is missing,
    surplus or misshapen.
    """
    log_size = most_frequent(
        _NETWORK,
        "conv_body_first.weight",
        [
            index + 3
            for part in ("conv_body_down", "conv_body_up", "condition_scale", "condition_shift")
            for index in highest(shapes, rf"{part}\.(\d{{1,3}})\.")
        ]
        + [index + 3 for index in highest(shapes, rf"{DECODER}\.to_rgbs\.(\d{{1,3}})\.")],
    )
    size = 2**log_size
    if size not in SIZES:
        raise CheckpointError(f"not a {_NETWORK}: its tensors imply size {size}, not one of {SIZES}")
    width = _width(shapes, "constant_input", "style_conv1")
    width_at_64 = _width(shapes, "style_convs.7", "style_convs.7")
    if width < 1 or width_at_64 < 1 or 2 * width_at_64 % width:
        raise CheckpointError(f"not a {_NETWORK}: {width} channels at 32×32, {width_at_64} at 64×64")
    style_dim = most_frequent(
        _NETWORK,
        f"{DECODER}.style_conv1.modulated_conv.modulation.weight",
        lengths(shapes, rf"{_MODULATED}\.modulated_conv\.modulation\.weight", axis=1),
    )
    layout = GfpganLayout(
        size=size,
        channel_multiplier=2 * width_at_64 // width,
        narrow=width / 512,
        style_dim=style_dim,
        different_w=_is_most(
            [rows > style_dim for rows in lengths(shapes, r"final_linear\.(weight|bias)", axis=0)]
        ),
        sft_half=_is_most(
            [
                outputs == inputs
                for outputs, inputs in zip(
                    lengths(shapes, r"condition_(scale|shift)\.\d+\.2\.weight", axis=0),
                    lengths(shapes, r"condition_(scale|shift)\.\d+\.2\.weight", axis=1),
                    strict=False,
                )
            ]
        ),
    )
    check_shapes(layout.tensors(), shapes, network=f"GFPGAN-{size}", details=_details(layout))
    return layout


def _width(shapes: Mapping[str, Shape], first: str, second: str) -> int:
    """Return the generator's width, read off two of its layers."""
    widths = lengths(shapes, rf"{DECODER}\.({re.escape(first)}|{re.escape(second)})\.bias", axis=1)
    widths += lengths(shapes, rf"{DECODER}\.{re.escape(first)}\.weight", axis=1)
    widths += lengths(shapes, rf"{DECODER}\.{re.escape(second)}\.modulated_conv\.weight", axis=1)
    widths += lengths(shapes, rf"{DECODER}\.{re.escape(second)}\.modulated_conv\.weight", axis=2)
    widths += lengths(shapes, rf"{DECODER}\.{re.escape(second)}\.modulated_conv\.modulation\.bias", axis=0)
    return most_frequent(_NETWORK, f"{DECODER}.{first}.weight", widths)


def _is_most(readings: list[bool]) -> bool:
    return 2 * sum(readings) > len(readings)


def _details(layout: GfpganLayout) -> str:
    styles = "a style vector for each layer" if layout.different_w else "one style vector"
    share = "half of the" if layout.sft_half else "all"
    return (
        f"m={layout.channel_multiplier}, n={layout.narrow:g}, {styles}, {share} channels scaled and shifted"
    )


Tensors = Iterable[tuple[str, Shape]]


def _conv(name: str, inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True) -> Tensors:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def _block(name: str, inputs: int, outputs: int) -> Tensors:
    yield from _conv(f"{name}.conv1", inputs, inputs)
    yield from _conv(f"{name}.conv2", inputs, outputs)
    yield from _conv(f"{name}.skip", inputs, outputs, 1, bias=False)


def _encoder(layout: GfpganLayout) -> Tensors:
    width, resolutions = layout.encoder_channels, layout.resolutions
    yield from _conv("conv_body_first", 3, width(layout.size), 1)
    for i, resolution in enumerate(resolutions[:0:-1]):
        yield from _block(f"conv_body_down.{i}", width(resolution), width(resolution // 2))
    yield from _conv("final_conv", width(4), width(4))
    for i, resolution in enumerate(resolutions[1:]):
        yield from _block(f"conv_body_up.{i}", width(resolution // 2), width(resolution))
    yield "final_linear.weight", (layout.styles * layout.style_dim, width(4) * 16)
    yield "final_linear.bias", (layout.styles * layout.style_dim,)


def _decoder(layout: GfpganLayout) -> Tensors:
    width = layout.channels
    yield f"{DECODER}.constant_input.weight", (1, width(4), 4, 4)
    yield from _style_conv(layout, "style_conv1", width(4), width(4))
    yield from _to_rgb(layout, "to_rgb1", width(4))
    for i, resolution in enumerate(layout.resolutions[1:]):
        yield from _style_conv(layout, f"style_convs.{2 * i}", width(resolution // 2), width(resolution))
        yield from _style_conv(layout, f"style_convs.{2 * i + 1}", width(resolution), width(resolution))
    for i, resolution in enumerate(layout.resolutions[1:]):
        yield from _to_rgb(layout, f"to_rgbs.{i}", width(resolution))
    for i in range(2 * len(layout.resolutions) - 1):
        side = 2 ** ((i + 5) // 2)
        yield f"{DECODER}.noises.noise{i}", (1, 1, side, side)


def _style_conv(layout: GfpganLayout, name: str, inputs: int, outputs: int) -> Tensors:
    yield f"{DECODER}.{name}.weight", (1,)
    yield f"{DECODER}.{name}.bias", (1, outputs, 1, 1)
    yield from _modulated(layout, name, inputs, outputs, 3)


def _to_rgb(layout: GfpganLayout, name: str, inputs: int) -> Tensors:
    yield f"{DECODER}.{name}.bias", (1, 3, 1, 1)
    yield from _modulated(layout, name, inputs, 3, 1)


def _modulated(layout: GfpganLayout, name: str, inputs: int, outputs: int, kernel: int) -> Tensors:
    yield f"{DECODER}.{name}.modulated_conv.weight", (1, outputs, inputs, kernel, kernel)
    yield f"{DECODER}.{name}.modulated_conv.modulation.weight", (inputs, layout.style_dim)
    yield f"{DECODER}.{name}.modulated_conv.modulation.bias", (inputs,)


def _conditions(layout: GfpganLayout) -> Tensors:
    for kind in ("scale", "shift"):
        for i, resolution in enumerate(layout.resolutions[1:]):
            inputs = layout.encoder_channels(resolution)
            yield from _conv(f"condition_{kind}.{i}.0", inputs, inputs)
            yield from _conv(f"condition_{kind}.{i}.2", inputs, layout.condition_channels(resolution))
