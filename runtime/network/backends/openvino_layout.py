"""Keep the channels last in what one graph hands to the next, as OpenVINO's kernels on a CPU keep them.

Otherwise each value is written with its channels first, which takes as long as the convolutions of the
encoder themselves, and is arranged again by the graph that reads it. The numbers stay the same, bit for bit.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from runtime.network.backends.openvino_graph import values

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of the axes, B×H×W×C from B×C×H×W and back."""


def in_last(lengths: Sequence[int]) -> list[int]:
    """Return the lengths B×H×W×C of a value that is B×C×H×W."""
    return [lengths[axis] for axis in TO_LAST]


def with_channels_last(model: Any, names: Collection[str]) -> Any:
    """Return an `openvino.Model` that reads and writes values of these names B×H×W×C.

    model  has static shapes, in which these values are B×C×H×W; it is not changed
    names  of inputs and outputs; those that it does not have are ignored
    """
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    processor = PrePostProcessor(model)
    ends = ((model.inputs, processor.input), (model.outputs, processor.output))
    for ports, end in ends:
        for name in (port.any_name for port in ports if names & port.names):
            end(name).tensor().set_layout(Layout("NHWC"))
            end(name).model().set_layout(Layout("NCHW"))
    turned = processor.build()
    for node in turned.get_ordered_ops():
        if (output := _later(node)) is not None:
            node.output(0).replace(output)
    turned.validate_nodes_and_infer_types()
    return turned


def _later(node: Any) -> Any | None:
    """Return an operation on single elements as one before its input is arranged again, instead of after.

    OpenVINO would compute it with the channels first, and arrange its result for the next convolution.
    """
    from openvino import opset13 as operations

    compute = _by_element().get(node.get_type_name())
    if compute is None or not _puts_channels_first(arranged := node.input_value(0).get_node()):
        return None
    other = _in_last(node.input_value(1))
    if other is None or (node.get_type_name() == "PRelu" and np.prod(other.get_shape()) > 1):
        return None
    computed = compute(arranged.input_value(0), other)
    if [*computed.get_output_shape(0)] != in_last(node.get_output_shape(0)):
        return None
    return operations.transpose(computed, np.array(TO_FIRST)).output(0)


def _by_element() -> dict[str, Callable[[Any, Any], Any]]:
    from openvino import opset13 as operations

    return {"Add": operations.add, "Multiply": operations.multiply, "PRelu": operations.prelu}


def _puts_channels_first(node: Any) -> bool:
    if node.get_type_name() != "Transpose":
        return False
    order = values(node.input_value(1))
    return order is not None and tuple(order) == TO_FIRST


def _in_last(value: Any) -> Any | None:
    """Return what is computed with a value, with its channels last; None if it has pixels and varies."""
    from openvino import opset13 as operations

    lengths = [1] * (4 - len(value.get_shape())) + [*value.get_shape()]
    if len(lengths) > 4:
        return None
    if np.prod(lengths) == 1:
        return value
    if (constant := values(value)) is not None:
        return operations.constant(constant.reshape(lengths).transpose(TO_LAST)).output(0)
    if lengths[2:] != [1, 1]:
        return None
    return operations.reshape(value, np.array(in_last(lengths)), False).output(0)
