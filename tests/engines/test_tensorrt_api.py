"""Holds the seam to the documented API: TensorRT 10's by name, RTX's (it follows TensorRT 11) for real.

`tests/data/tensorrt-10.13.names.json` has the names of the type stubs on PyPI (tensorrt-stubs 10.13.0.35.1):
the module's under "", a class's members under its name. The stubs themselves cannot be a dependency: they
want TensorRT itself, and are not valid Python.
"""

import ast
import json
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

import engines
from base.errors import EngineError
from engines import tensorrt_api
from engines.construction import BuildRequest, construct
from engines.layers import precisions

tensorrt_rtx = pytest.importorskip("tensorrt_rtx")

SOURCES = sorted(Path(engines.__file__).parent.glob("*.py"))
NAMES = json.loads((Path(__file__).parents[1] / "data" / "tensorrt-10.13.names.json").read_text())
ONLY_RTX = {"ComputeCapability", "CudaGraphStrategy", "DynamicShapesKernelSpecializationStrategy"}


def module_names(tree):
    """Yield every chain of names below TensorRT's module: `trt.BuilderFlag.TF32`, `api.module.Runtime`."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        chain = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "trt":
            yield tuple(chain)
        elif "module" in chain[:-1]:
            yield tuple(chain[chain.index("module") + 1 :])


def members(tree):
    """Yield class and member of every use of a variable that is declared as one of TensorRT's objects."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        classes = {}
        for node in ast.walk(function):
            if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
                written = ast.unparse(node.annotation).strip("'")
                name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                if written.startswith("typed."):
                    classes[name] = written.removeprefix("typed.").removesuffix(" | None")
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in classes
            ):
                yield classes[node.value.id], node.attr


USED = sorted(
    {chain for path in SOURCES for chain in module_names(ast.parse(path.read_text()))}
    | {chain for path in SOURCES for chain in members(ast.parse(path.read_text()))}
)


def test_the_uses_of_tensorrt_are_found():
    assert {("BuilderFlag", "TF32"), ("Runtime",), ("Builder", "build_serialized_network")} <= set(USED)
    assert len(USED) > 50


@pytest.mark.parametrize("chain", USED, ids=".".join)
def test_what_is_used_is_there_in_tensorrt_10_and_in_rtx(chain):
    thing = tensorrt_rtx
    for name in chain:
        if name.startswith("__"):
            break
        assert hasattr(thing, name)
        thing = getattr(thing, name)
    if chain[0] not in ONLY_RTX:
        assert chain[0] in NAMES[""]
        if len(chain) > 1 and not chain[1].startswith("__"):
            assert chain[1] in NAMES[chain[0]]


def test_only_the_seam_and_its_turing_form_call_tensorrt():
    callers = {path.name for path in SOURCES if list(module_names(ast.parse(path.read_text())))}
    assert callers == {"tensorrt_api.py", "turing.py"}


def test_rtx_builds_for_the_gpus_it_knows_and_measures_nothing():
    api = tensorrt_api.load("rtx")
    assert api.version == tensorrt_rtx.__version__
    assert not api.tunes
    assert {"sm_75", "sm_86", "sm_89", "sm_120"} <= set(api.known_targets)


def test_a_missing_runtime_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"TensorRT is not installed: pip install 'gpen-edge\[tensorrt\]'"):
        tensorrt_api.load("tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError, match=r"RTX is not installed: pip install 'gpen-edge\[tensorrt-rtx\]'"):
        tensorrt_api.load("rtx")


def module_at(folder, monkeypatch, content):
    """Make `tensorrt` a module of that content; None is a folder without one, as type stubs leave it."""
    (folder / "tensorrt").mkdir()
    if content is not None:
        (folder / "tensorrt" / "__init__.py").write_text(content)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def test_type_stubs_are_not_taken_for_the_runtime(tmp_path, monkeypatch):
    module_at(tmp_path, monkeypatch, None)
    with pytest.raises(EngineError, match="TensorRT is not installed"):
        tensorrt_api.load("tensorrt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("Builder = None; __version__ = '8.6.1'", r"TensorRT 8.6.1 is too old: 10.3 or newer is needed"),
        ("Builder = None; __version__ = '10.2.0.post1'", r"TensorRT 10.2.0.post1 is too old"),
        (
            "raise ImportError('libnvinfer.so.11: cannot open')",
            r"cannot be loaded: libnvinfer.so.11: cannot open",
        ),
        ("raise OSError('no driver')", r"cannot be loaded: no driver"),
    ],
)
def test_a_runtime_that_cannot_be_used_is_told(tmp_path, monkeypatch, content, told):
    module_at(tmp_path, monkeypatch, content)
    with pytest.raises(EngineError, match=told):
        tensorrt_api.load("tensorrt")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0.106"])
def test_tensorrt_10_3_and_newer_are_taken(tmp_path, monkeypatch, version):
    module_at(tmp_path, monkeypatch, f"Builder = None; __version__ = {version!r}")
    assert tensorrt_api.load("tensorrt").version == version
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


def graph(path, nodes, constants, x, y, dtype=1):
    """Write an ONNX graph of input x and output y."""
    import onnx
    from onnx import helper, numpy_helper

    body = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, x)],
        [helper.make_tensor_value_info("y", dtype, y)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def build(file, tmp_path, **settings):
    output = tmp_path / "built.engine"
    request = BuildRequest(runtime="rtx", graph=file, output=str(output), max_batch=4, **settings)
    return construct(request, lambda phase, share: None), output


def convolution(path, half):
    import numpy as np
    from onnx import helper

    make = helper.make_node
    weights = np.ones((16, 8, 3, 3), np.float16 if half else np.float32)
    nodes = [
        make("Cast", ["x"], ["h"], to=10 if half else 1),
        make("Conv", ["h", "weights"], ["c"], name="/Conv", pads=[1] * 4),
        make("Cast", ["c"], ["y"], to=1),
    ]
    return graph(path, nodes, {"weights": weights}, ["batch", 8, 16, 16], ["batch", 16, 16, 16])


@pytest.mark.parametrize(("half", "precision"), [(False, "FP32"), (True, "FP16")])
def test_precision_is_that_of_the_graph(tmp_path, half, precision):
    built, output = build(convolution(tmp_path / "graph.onnx", half), tmp_path, targets=("sm_89",))
    assert [layer.precision for layer in built.layers if layer.kind == "correlation"] == [precision]
    assert any("/Conv" in layer.nodes for layer in built.layers)
    assert ("FP16" in precisions(built.layers)) == half
    assert output.stat().st_size > 1000
    assert built.weights_bytes >= 16 * 8 * 9 * (2 if half else 4)
    assert built.activation_bytes > 0


def test_the_parser_says_which_node_and_why(tmp_path):
    import numpy as np
    from onnx import helper

    node = helper.make_node("Conv", ["x", "weights"], ["y"], name="/body/Conv", pads=[1] * 4)
    constants = {"weights": np.ones((16, 5, 3, 3), np.float32)}
    file = graph(tmp_path / "graph.onnx", [node], constants, ["batch", 8, 16, 16], ["batch", 16, 16, 16])
    with pytest.raises(EngineError, match=r"^node Conv /body/Conv: .*Kernel weight dimension"):
        build(file, tmp_path)
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match="Failed to parse the ONNX model"):
        build(file, tmp_path)


@pytest.mark.parametrize("constant", [True, False], ids=["affine", "accumulation"])
def test_turing_gets_its_matrix_products_in_another_form(tmp_path, constant):
    """TensorRT-RTX refuses FP32 matrix products for sm_75; see turing."""
    import numpy as np
    from onnx import helper

    make = helper.make_node
    if constant:
        nodes = [make("Gemm", ["x", "weights"], ["p"], name="/Gemm", transB=1), make("Relu", ["p"], ["y"])]
        file = graph(
            tmp_path / "graph.onnx",
            nodes,
            {"weights": np.ones((6, 8), np.float32)},
            ["batch", 8],
            ["batch", 6],
        )
    else:
        nodes = [
            make("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            make("MatMul", ["x", "t"], ["p"], name="/MatMul"),
            make("Relu", ["p"], ["y"]),
        ]
        file = graph(tmp_path / "graph.onnx", nodes, {}, ["batch", 3, 8], ["batch", 3, 3])
    _, output = build(file, tmp_path, targets=("sm_75",))
    assert output.stat().st_size > 1000


def test_a_product_that_has_no_other_form_is_named(tmp_path):
    import numpy as np
    from onnx import helper

    node = helper.make_node("Gemm", ["x", "weights"], ["y"], name="/Gemm", transB=1)
    constants = {"weights": np.ones((6, 8), np.float32)}
    file = graph(tmp_path / "graph.onnx", [node], constants, ["batch", 8], ["batch", 6])
    with pytest.raises(EngineError, match="'/Gemm' for Turing"):
        build(file, tmp_path, targets=("sm_75",))


class MeasuredElsewhere:
    """A build configuration of TensorRT that refuses all timing caches but `takes`."""

    def __init__(self, takes):
        self.takes, self.cache = takes, None

    def create_timing_cache(self, content):
        return content

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache in self.takes and not ignore_mismatch:
            self.cache = cache
        return self.cache is not None

    def get_timing_cache(self):
        return None


def test_a_foreign_or_missing_timing_cache_is_replaced_and_fails_no_build():
    api = tensorrt_api.TensorRt("tensorrt", None, "10.13.0")
    config = MeasuredElsewhere(takes=[b"here", b""])
    tensorrt_api.use_timing_cache(api, config, b"elsewhere")
    assert config.cache == b""
    tensorrt_api.use_timing_cache(api, config, b"here")
    assert config.cache == b"here"
    tensorrt_api.use_timing_cache(api, MeasuredElsewhere(takes=[]), b"elsewhere")
    assert tensorrt_api.timing_cache(api, config) == b""


def test_what_tensorrt_cannot_serialise_is_nothing():
    """Its Python API returns None then."""
    settings, config = Mock(), Mock()
    settings.get_runtime_cache().serialize.return_value = None
    config.get_timing_cache().serialize.return_value = None
    assert tensorrt_api.compiled_kernels(settings) == b""
    assert tensorrt_api.timing_cache(tensorrt_api.TensorRt("tensorrt", None, "10.13.0"), config) == b""


def test_a_runtime_that_does_not_start_is_one_line():
    class Module:
        def Runtime(self, log):  # noqa: N802
            raise TypeError("pybind11::init(): factory function returned nullptr")

    api = tensorrt_api.TensorRt("tensorrt", Module(), "10.13.0")
    with pytest.raises(EngineError, match=r"TensorRT 10\.13\.0 cannot start: check whether"):
        tensorrt_api.deserialize(api, b"plan", None)
