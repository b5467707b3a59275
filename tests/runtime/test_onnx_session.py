"""The networks of a process take their scratch memory from one place."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from runtime.onnx_session import free_memory, open_network

LENGTH = 16_000_000
X = np.zeros(LENGTH, np.float32)
"""64 MB"""


def network(file: Path) -> Any:
    """A network whose two intermediate values are as large as its input."""
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n"]), ("y", []))
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Sin", ["a"], ["b"]),
        helper.make_node("ReduceSum", ["b"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "sum", ports[:1], ports[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return open_network(file, 1)


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_second_network_uses_the_memory_of_the_first_which_can_be_given_back(tmp_path: Path) -> None:
    first, second = network(tmp_path / "first.onnx"), network(tmp_path / "second.onnx")
    for x in (X[:1], X):  # the memory that is allocated first stays
        assert first.run(None, {"x": x}) == [0]
    before = resident()
    assert second.run(None, {"x": X}) == [0]
    assert resident() - before < X.nbytes
    free_memory(second, {"x": X[:1]})
    assert resident() - before < -X.nbytes
