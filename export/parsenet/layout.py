"""The layout of ParseNet, the published face-parsing network: names and shapes of its tensors.

ParseNet came with PSFRGAN (chaofengc/PSFRGAN, models/networks.py); GPEN distributes it as
`ParseNet-latest.pth`, facexlib as `parsing_parsenet.pth`.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from base.errors import CheckpointError
from export.shapes import Shape, check_shapes, highest, lengths, most_frequent

TENSOR_NAMES = re.compile(
    r"(out_(img|mask)_conv|(encoder|body|decoder)\.\d+(\.(conv[12]|shortcut_func))?)"
    r"(\.conv2d|\.norm\.norm)\.(weight|bias|running_mean|running_var|num_batches_tracked)"
)
"""Matches the complete name of a tensor of any ParseNet."""

CLASSES = 19
"""Number of classes of CelebAMask-HQ, ParseNet's training data."""
DEEPEST = 32
"""Side of the smallest feature map in the published network."""
MOST_HALVINGS = 6


@dataclass(frozen=True)
class ParsingLayout:
    """The hyper-parameters of one ParseNet."""

    widths: tuple[int, ...]
    """Channels at full resolution, half resolution, … down to the deepest."""
    depth: int
    """Residual blocks at the deepest resolution."""

    @property
    def size(self) -> int:
        """Return the side of the pictures it was trained on: 512 as published."""
        return int(DEEPEST * 2 ** (len(self.widths) - 1))

    def tensors(self) -> dict[str, Shape]:
        """Return the name and shape of every tensor of a checkpoint, in the published order."""
        return dict(_tensors(self))


def read_parsing_layout(shapes: Mapping[str, Shape]) -> ParsingLayout:
    """Read a layout off a checkpoint's tensor shapes; the most frequent value wins.

    Raises CheckpointError if the tensors are not those of a ParseNet with 19 classes, naming the first that
    is missing, surplus or misshapen.
    """
    if not any(name.startswith("out_mask_conv.") for name in shapes):
        raise CheckpointError("not a ParseNet: tensor 'out_mask_conv.conv2d.weight' is missing")
    halvings = most_frequent(
        "ParseNet",
        "encoder.1.conv1.conv2d.weight",
        highest(shapes, r"encoder\.(\d{1,3})\.") + [i + 1 for i in highest(shapes, r"decoder\.(\d{1,3})\.")],
    )
    if not 1 <= halvings <= MOST_HALVINGS:
        raise CheckpointError(f"not a ParseNet: it halves {halvings} times, not 1 to {MOST_HALVINGS} times")
    layout = ParsingLayout(
        widths=tuple(_width(shapes, halvings, level) for level in range(halvings + 1)),
        depth=max([i + 1 for i in highest(shapes, r"body\.(\d{1,3})\.")], default=0),
    )
    check_shapes(
        layout.tensors(),
        shapes,
        network="ParseNet",
        details=f"{CLASSES} classes, {layout.depth} blocks and widths {list(layout.widths)}",
    )
    return layout


def _width(shapes: Mapping[str, Shape], halvings: int, level: int) -> int:
    """Return the channels after that many halvings, by the majority of tensors."""
    block = rf"(encoder\.{level}|decoder\.{halvings - level - 1})" if level else rf"decoder\.{halvings - 1}"
    if level == halvings:
        block = rf"(encoder\.{level}|body\.\d+)"
    widths = [
        *lengths(shapes, rf"{block}\.conv[12]\.conv2d\.weight", axis=0),
        *lengths(shapes, rf"{block}\.conv[12]\.norm\.norm\.(weight|bias|running_mean|running_var)", axis=0),
    ]
    return most_frequent("ParseNet", f"encoder.{level}.conv1.conv2d.weight", widths)


Tensors = Iterable[tuple[str, Shape]]


def _tensors(layout: ParsingLayout) -> Tensors:
    widths = layout.widths
    yield from _conv("encoder.0", 3, widths[0])
    for i, (above, below) in enumerate(itertools.pairwise(widths), start=1):
        yield from _block(f"encoder.{i}", above, below, scaled=True)
    for i in range(layout.depth):
        yield from _block(f"body.{i}", widths[-1], widths[-1], scaled=False)
    for i, (below, above) in enumerate(itertools.pairwise(widths[::-1])):
        yield from _block(f"decoder.{i}", below, above, scaled=True)
    yield from _conv("out_img_conv", widths[0], 3)
    yield from _conv("out_mask_conv", widths[0], CLASSES)


def _block(name: str, inputs: int, outputs: int, *, scaled: bool) -> Tensors:
    if scaled:
        yield from _conv(f"{name}.shortcut_func", inputs, outputs)
    yield from _normed_conv(f"{name}.conv1", inputs, outputs)
    yield from _normed_conv(f"{name}.conv2", outputs, outputs)


def _conv(name: str, inputs: int, outputs: int) -> Tensors:
    yield f"{name}.conv2d.weight", (outputs, inputs, 3, 3)
    yield f"{name}.conv2d.bias", (outputs,)


def _normed_conv(name: str, inputs: int, outputs: int) -> Tensors:
    yield f"{name}.conv2d.weight", (outputs, inputs, 3, 3)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.norm.norm.{part}", (outputs,)
    yield f"{name}.norm.norm.num_batches_tracked", ()
