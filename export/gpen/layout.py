"""The published layout: five numbers determine every tensor's name and shape, and are read off the shapes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from base.errors import CheckpointError
from export.shapes import Shape, check_shapes, highest, lengths, most_frequent

TENSOR_NAMES = re.compile(
    r"(ecd\d+\.\d+\.\d+|final_linear\.0|generator\.(style\.\d+|input|conv1|convs\.\d+|to_rgb1|to_rgbs\.\d+)"
    r"(\.(conv|modulation|blur|upsample|noise|activate))*)\.(weight|bias|kernel|input)"
)
"""Matches the complete name of a tensor of any GPEN network."""

SIZES = (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Layout:
    """The hyper-parameters of one GPEN network (design §3)."""

    size: int
    """S: height and width of the crop, a power of two in 64…2048."""
    channel_multiplier: int
    """m: widens the resolutions above 32."""
    narrow: float
    """n: scales the width of every resolution."""
    style_dim: int
    """Width of z and w."""
    n_mlp: int
    """Depth of the mapping network."""

    def channels(self, resolution: int) -> int:
        """Return the feature channels at a resolution (a power of two in 4…S)."""
        if resolution <= 32:
            return int(512 * self.narrow)
        return int(512 * 32 // resolution * self.channel_multiplier * self.narrow)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Return the resolutions 4, 8, … S."""
        return tuple(2**i for i in range(2, self.size.bit_length()))

    def tensors(self) -> dict[str, Shape]:
        """Return the name and shape of every tensor of a checkpoint, in the published order."""
        return dict(_mapping(self)) | dict(_generator(self)) | dict(_encoder(self))


def read_layout(shapes: Mapping[str, Shape]) -> Layout:
    """Read a layout off a checkpoint's tensor shapes.

    Every number is read from several tensors and the most frequent value wins, so that one damaged tensor
    does not change the expectation for all others.

    Raises CheckpointError if the tensors are not those of a GPEN network, naming the first that is missing,
    surplus or misshapen.
    """
    log_size = most_frequent(
        "GPEN network",
        "ecd0.0.0.weight",
        [index + 2 for index in highest(shapes, r"ecd(\d{1,3})\.")]
        + [index + 3 for index in highest(shapes, r"generator\.to_rgbs\.(\d{1,3})\.")]
        + [index // 2 + 3 for index in highest(shapes, r"generator\.convs\.(\d{1,3})\.")],
    )
    size = 2**log_size
    if size not in SIZES:
        raise CheckpointError(f"not a GPEN network: its tensors imply size {size}, not one of {SIZES}")
    width = most_frequent(
        "GPEN network",
        "generator.input.input",
        lengths(shapes, r"generator\.input\.input", axis=1)
        + lengths(shapes, r"generator\.conv1\.conv\.weight", axis=1)
        + lengths(shapes, r"generator\.conv1\.conv\.modulation\.bias", axis=0),
    )
    stage_at_64 = f"ecd{log_size - 6}"
    width_at_64 = most_frequent(
        "GPEN network",
        "generator.convs.7.conv.weight",
        lengths(shapes, r"generator\.convs\.7\.conv\.weight", axis=1)
        + lengths(shapes, rf"{stage_at_64}\.0\.\d\.weight", axis=0)
        + lengths(shapes, rf"{stage_at_64}\.0\.\d\.bias", axis=0),
    )
    if width < 1 or width_at_64 < 1 or 2 * width_at_64 % width:
        raise CheckpointError(f"not a GPEN network: {width} channels at 32×32, {width_at_64} at 64×64")
    layout = Layout(
        size=size,
        channel_multiplier=2 * width_at_64 // width,
        narrow=width / 512,
        style_dim=most_frequent(
            "GPEN network",
            "generator.conv1.conv.modulation.weight",
            lengths(shapes, r"generator\..*\.modulation\.weight", axis=1),
        ),
        n_mlp=max(
            len(lengths(shapes, rf"generator\.style\.\d+\.{part}", axis=0)) for part in ("weight", "bias")
        ),
    )
    check_tensors(layout, shapes)
    return layout


def check_tensors(layout: Layout, shapes: Mapping[str, Shape]) -> None:
    """Raise CheckpointError naming the first tensor that is missing, misshapen or surplus."""
    check_shapes(
        layout.tensors(),
        shapes,
        network=f"GPEN-{layout.size}",
        details=f"m={layout.channel_multiplier}, n={layout.narrow:g}",
    )


Tensors = Iterable[tuple[str, Shape]]


def _mapping(layout: Layout) -> Tensors:
    for i in range(1, layout.n_mlp + 1):
        yield f"generator.style.{i}.weight", (layout.style_dim, layout.style_dim)
        yield f"generator.style.{i}.bias", (layout.style_dim,)


def _generator(layout: Layout) -> Tensors:
    width = layout.channels(4)
    yield "generator.input.input", (1, width, 4, 4)
    yield from _styled_conv(layout, "generator.conv1", width, width, blurred=False)
    yield from _to_rgb(layout, "generator.to_rgb1", 2 * width, blurred=False)
    # Published order: all styled convs, then all to_rgbs.
    for i, resolution in enumerate(layout.resolutions[1:]):
        below, here = layout.channels(resolution // 2), layout.channels(resolution)
        yield from _styled_conv(layout, f"generator.convs.{2 * i}", 2 * below, here, blurred=True)
        yield from _styled_conv(layout, f"generator.convs.{2 * i + 1}", 2 * here, here, blurred=False)
    for i, resolution in enumerate(layout.resolutions[1:]):
        yield from _to_rgb(layout, f"generator.to_rgbs.{i}", 2 * layout.channels(resolution), blurred=True)


def _styled_conv(layout: Layout, name: str, inputs: int, outputs: int, *, blurred: bool) -> Tensors:
    yield f"{name}.conv.weight", (1, outputs, inputs, 3, 3)
    if blurred:
        yield f"{name}.conv.blur.kernel", (4, 4)
    yield f"{name}.conv.modulation.weight", (inputs, layout.style_dim)
    yield f"{name}.conv.modulation.bias", (inputs,)
    yield f"{name}.noise.weight", (1,)
    yield f"{name}.activate.bias", (2 * outputs,)


def _to_rgb(layout: Layout, name: str, inputs: int, *, blurred: bool) -> Tensors:
    yield f"{name}.bias", (1, 3, 1, 1)
    if blurred:
        yield f"{name}.upsample.kernel", (4, 4)
    yield f"{name}.conv.weight", (1, 3, inputs, 1, 1)
    yield f"{name}.conv.modulation.weight", (inputs, layout.style_dim)
    yield f"{name}.conv.modulation.bias", (inputs,)


def _encoder(layout: Layout) -> Tensors:
    size = layout.size
    yield "ecd0.0.0.weight", (layout.channels(size), 3, 1, 1)
    yield "ecd0.0.1.bias", (layout.channels(size),)
    for i, resolution in enumerate(layout.resolutions[-2::-1], start=1):
        here = layout.channels(resolution)
        yield f"ecd{i}.0.0.kernel", (4, 4)
        yield f"ecd{i}.0.1.weight", (here, layout.channels(2 * resolution), 3, 3)
        yield f"ecd{i}.0.2.bias", (here,)
    yield "final_linear.0.weight", (layout.style_dim, layout.channels(4) * 16)
    yield "final_linear.0.bias", (layout.style_dim,)
