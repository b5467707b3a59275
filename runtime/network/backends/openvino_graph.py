"""Rewrite a graph for OpenVINO's kernels on a CPU, without changing what it computes.

These kernels keep the channels of a value last, so that operations which need another order cost passes over
memory, and where a processor multiplies matrices in bf16 such passes take most of the time. Three kinds of
operations are replaced:

- A doubling is exported as four convolutions whose results are interleaved (export/layers.py), which suits
  ONNX Runtime. Here it is the transposed convolution of which they are the phases. Weights that are stored as
  INT8 stay so, but the phases of an output share the coarsest distance between their levels.
- A blur is exported as rows, then columns. Here it is one convolution per channel.
- A picture is exported as a product with the weights of one face, over pixels in rows. Here it is a 1×1
  convolution.
- Noise is exported as one constant for all channels, added after their biases. OpenVINO would add it to these
  first, which makes a constant per channel of it: in GFPGAN-512 more than all weights take. So here it is the
  result of a 1×1 convolution, which OpenVINO never computes ahead.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

METHOD = 3
"""Version of these rewritings and of the layout (openvino_layout.py): models that were compiled with another
one are compiled again."""
FEW = 16
"""Outputs of a product that becomes a convolution: its weights are arranged again in every run."""

Kernel = NDArray[Any]


def rewritten(model: Any) -> Any:
    """Return an `openvino.Model` with static shapes after changing it in place."""
    for node in model.get_ordered_ops():
        for rewrite in _REWRITINGS:
            if (output := rewrite(node)) is not None:
                node.output(0).replace(output)
                break
    model.validate_nodes_and_infer_types()
    return model


@dataclass(frozen=True)
class _Phase:
    """A convolution that computes every second line and column of a doubled value."""

    source: Any
    kernel: Kernel
    """outputs×inputs×H×W"""
    before: tuple[int, int]
    """Zeros before the source's first line and column."""
    lines: tuple[int, int]
    """Height and width of its result, as far as it equals the convolution of the source among zeros."""
    steps: Kernel | None
    """Of each output's weights, if they are stored as INT8."""


_Phases = Mapping[tuple[int, int], _Phase]


def _doubling(node: Any) -> Any | None:
    """Return the transposed convolution that a Reshape of four interleaved phases equals."""
    from openvino import opset13 as operations

    phases = _phases(node)
    if phases is None:
        return None
    source = phases[0, 0].source
    lengths, whole = [*source.get_shape()][2:], [*node.get_output_shape(0)][2:]
    real = [_real_lines(axis, phases, whole[axis]) for axis in (0, 1)]
    if any(each.source != source for each in phases.values()) or min(real) < 0:
        return None
    kernel, before = _transposed_kernel(phases)
    sides = zip(lengths, kernel.shape[2:], before, real, strict=True)
    surplus = [2 * (length - 1) + taps - first - lines for length, taps, first, lines in sides]
    steps = [each.steps for each in phases.values() if each.steps is not None]
    weights = _in_int8(kernel, np.max(steps, 0)) if len(steps) == 4 else operations.constant(kernel)
    doubled = operations.convolution_backprop_data(
        source,
        weights,
        [2, 2],
        pads_begin=before,
        pads_end=[max(0, n) for n in surplus],
        dilations=[1, 1],
        output_padding=[max(0, -n) for n in surplus],
    )
    missing = [length - lines for length, lines in zip(whole, real, strict=True)]
    if not any(missing):
        return doubled.output(0)
    none = np.zeros(4, np.int64)
    return operations.pad(doubled, none, np.array([0, 0, *missing]), "constant").output(0)


def _phases(node: Any) -> _Phases | None:
    """Return the phases that a Reshape makes one value of, by the first line and column of each."""
    rows = [_halves(row, 4) for row in _halves(_before(node), 3)] if _is(node, "Reshape") else []
    if not rows or not all(rows):
        return None
    *outer, height, _, width, _ = _before(node).get_output_shape(0)
    found = {(i, j): _phase(cell) for i, row in enumerate(rows) for j, cell in enumerate(row)}
    phases = {place: phase for place, phase in found.items() if phase}
    doubled = [*node.get_output_shape(0)] == [*outer, 2 * height, 2 * width]
    return phases if doubled and len(phases) == 4 else None


def _halves(node: Any, axis: int) -> list[Any]:
    """Return the two nodes that a node interleaves along an axis; an empty list if it does not."""
    if not _is(node, "Concat") or node.get_attributes()["axis"] != axis:
        return []
    parts = [value.get_node() for value in node.input_values()]
    if [*map(_kind, parts)] != ["Unsqueeze"] * 2:
        return []
    halves = [_before(part) for part in parts]
    for part, half in zip(parts, halves, strict=True):
        shape = [*half.get_output_shape(0)]
        if [*part.get_output_shape(0)] != [*shape[:axis], 1, *shape[axis:]]:
            return []
    return halves


def _phase(node: Any) -> _Phase | None:
    padded = _is(node, "Pad")
    convolution = _before(node) if padded else node
    if padded and not _adds_zeros_after(node):
        return None
    if not _is(convolution, "Convolution") or not _is_plain(convolution):
        return None
    kernel = values(convolution.input_value(1))
    if kernel is None:
        return None
    attributes, (height, width) = convolution.get_attributes(), list(node.get_output_shape(0))[2:]
    if padded:
        # Zeros after the result are its own continuation if its last taps lie beyond the source already.
        ends = zip(attributes["pads_end"], kernel.shape[2:], _padding(node, 2)[2:], strict=True)
        height, width = (
            length - (0 if end >= taps - 1 else int(added))
            for length, (end, taps, added) in zip((height, width), ends, strict=True)
        )
    return _Phase(
        convolution.input_value(0),
        kernel,
        tuple(attributes["pads_begin"]),
        (height, width),
        _steps(convolution.input_value(1)),
    )


def _real_lines(axis: int, phases: _Phases, length: int) -> int:
    """Return how many leading lines of an interleaved value are not zeros that were added after a phase.

    −1 if such zeros lie among other lines.
    """
    first = phases[0, 0].lines[axis], phases[1, 1].lines[axis]
    if any(phase.lines[axis] != first[place[axis]] for place, phase in phases.items()):
        return -1
    real = min(2 * first[0], 2 * first[1] + 1, length)
    return real if real >= length - 1 else -1


def _transposed_kernel(phases: _Phases) -> tuple[Kernel, list[int]]:
    """Return a transposed convolution's kernel, inputs×outputs×H×W, and the lines cut off before it."""
    taps = {}
    for (i, j), phase in phases.items():
        for m, n in np.ndindex(phase.kernel.shape[2:]):
            place = i - 2 * (m - phase.before[0]), j - 2 * (n - phase.before[1])
            taps[place] = phase.kernel[:, :, m, n].T
    places = np.array([*taps])
    least = places.min(0)
    one = next(iter(taps.values()))
    kernel = np.zeros((*one.shape, *(places.max(0) - least + 1)), one.dtype)
    for (m, n), tap in taps.items():
        kernel[:, :, m - least[0], n - least[1]] = tap
    return kernel, [int(-n) for n in least]


def _blur(node: Any) -> Any | None:
    """Return the convolution per channel that one over rows and the next over columns equal."""
    from openvino import opset13 as operations

    if not _is(node, "GroupConvolution") or not _is_plain(node):
        return None
    first = _before(node)
    if (
        not _is(first, "GroupConvolution")
        or not _is_plain(first)
        or len(first.output(0).get_target_inputs()) > 1
    ):
        return None
    row, column = (values(each.input_value(1)) for each in (first, node))
    if row is None or column is None or row.shape[1:4] != (1, 1, 1) or column.shape[4] != 1:
        return None
    begins, ends = (
        [each.get_attributes()[which] for each in (first, node)] for which in ("pads_begin", "pads_end")
    )
    if begins[1][1] or ends[1][1]:
        return None
    together = operations.group_convolution(
        first.input_value(0),
        operations.constant(column * row),
        [1, 1],
        [*map(sum, zip(*begins, strict=True))],
        [*map(sum, zip(*ends, strict=True))],
        [1, 1],
    )
    return together.output(0)


def _picture(node: Any) -> Any | None:
    """Return the 1×1 convolution that a product of weights with the pixels of one face equals."""
    from openvino import opset13 as operations

    if (
        not _is(node, "MatMul")
        or not _is(_before(node, 1), "Reshape")
        or any(node.get_attributes()[side] for side in ("transpose_a", "transpose_b"))
    ):
        return None
    weights, value = node.input_value(0), _before(node, 1).input_value(0)
    shape, product = [*value.get_shape()], [*node.get_output_shape(0)]
    if len(shape) != 4 or len(product) != 3 or product[1] > FEW:
        return None
    if [*weights.get_shape()] != [1, product[1], shape[1]] or product[2] != shape[2] * shape[3]:
        return None
    if shape[0] != 1 or [*_before(node, 1).get_output_shape(0)][:2] != shape[:2]:
        return None
    kernel = operations.reshape(weights, np.array([product[1], shape[1], 1, 1]), False)
    picture = operations.convolution(value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return operations.reshape(picture, np.array(product), False).output(0)


def _noise(node: Any) -> Any | None:
    """Return the sum of a value with a bias and of noise, a constant over all channels, that stays so."""
    from openvino import opset13 as operations

    if not _is(node, "Add") or not _is(_before(node), "Add"):
        return None
    noise, biased = values(node.input_value(1)), _before(node)
    lengths = [*node.get_output_shape(0)]
    if noise is None or len(lengths) != 4 or not noise.size == math.prod(lengths[2:]) > 1:
        return None
    if all(values(each) is None for each in biased.input_values()):
        return None
    one = np.ones((1, 1, 1, 1), noise.dtype)
    field = operations.constant(noise.reshape(1, 1, *lengths[2:]))
    kept = operations.convolution(field, operations.constant(one), [1, 1], [0, 0], [0, 0], [1, 1])
    return operations.add(biased, kept).output(0)


_REWRITINGS = (_doubling, _blur, _picture, _noise)


_ARITHMETIC = {"Multiply": np.multiply, "Subtract": np.subtract}
"""What is done to weights that are stored as INT8."""


def values(output: Any) -> Kernel | None:
    """Return a constant's values, also after conversions, scaling or reshaping; None if it is none."""
    node = output.get_node()
    if _is(node, "Constant"):
        return node.get_data()  # type: ignore[no-any-return]
    kind = _kind(node)
    if kind not in ("Reshape", "Convert", *_ARITHMETIC) or (given := values(node.input_value(0))) is None:
        return None
    if kind not in _ARITHMETIC:
        return given.reshape([*output.get_shape()]).astype(output.get_element_type().to_dtype())
    other = values(node.input_value(1))
    return None if other is None else _ARITHMETIC[kind](given, other)


def _steps(output: Any) -> Kernel | None:
    """Return the distances between the levels of weights, outputs×…, stored as INT8; None for others."""
    node = output.get_node()
    if not _is(node, "Multiply") or (steps := values(node.input_value(1))) is None:
        return None
    stored = _before(node)
    while _kind(stored) in ("Subtract", "Convert"):
        stored = _before(stored)
    in_int8 = _is(stored, "Constant") and stored.get_element_type().get_type_name() == "i8"
    return steps.reshape(-1) if in_int8 and steps.size == output.get_shape()[0] else None


def _in_int8(kernel: Kernel, steps: Kernel) -> Any:
    """Return weights, inputs×outputs×H×W, stored as INT8 with a distance between levels for each output."""
    from openvino import opset13 as operations

    steps = steps.reshape(1, -1, 1, 1)
    levels = operations.constant(np.clip(np.rint(kernel / steps), -127, 127).astype(np.int8))
    return operations.multiply(operations.convert(levels, np.float32), operations.constant(steps))


def _adds_zeros_after(pad: Any) -> bool:
    constants = [values(each) for each in pad.input_values()[1:]]
    if pad.get_attributes()["pad_mode"] != "constant" or any(value is None for value in constants):
        return False
    before, _, *value = map(np.asarray, constants)
    return not before.any() and not np.any(value)


def _padding(pad: Any, which: int) -> Kernel:
    """Return how many values a Pad adds along each axis, before (1) or after (2) the others."""
    return np.asarray(values(pad.input_value(which)))


def _is_plain(node: Any) -> bool:
    """Return whether a convolution has neither strides nor dilations."""
    attributes = node.get_attributes()
    return all([*attributes[name]] == [1, 1] for name in ("strides", "dilations"))


def _before(node: Any, i: int = 0) -> Any:
    return node.input_value(i).get_node()


def _kind(node: Any) -> str:
    return str(node.get_type_name())


def _is(node: Any, kind: str) -> bool:
    return _kind(node) == kind
