"""Holds what is called of PyCUDA, and the tests' own, to PyCUDA 2026.1, as its docstrings give it."""

import ast
import ctypes
import inspect
import json
import re
from pathlib import Path

import pytest

from runtime.network.backends import cuda_device, cuda_driver

API = json.loads((Path(__file__).parents[3] / "data/pycuda-2026.1.signatures.json").read_text())
FUNCTIONS, CLASSES = API["functions"], API["classes"]


def parameters(signature):
    """Return (name, has a default) of `f( (object)dest [, (object)stream=None]) -> None`; no self."""
    inside = signature[signature.index("(") + 1 : signature.index(" ->")]
    found = re.findall(r"\(\w+\)(\w+)(=?)", inside)
    return [(name, bool(default)) for name, default in found if name != "self"]


def of(function):
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.default is not one.empty) for one in found if one.name != "self"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_tests_functions_take_what_pycudas_take(gpu, name):
    (signature,) = FUNCTIONS[name]
    theirs, ours = parameters(signature), of(getattr(gpu.cuda, name))
    assert len(theirs) == len(ours)
    for (their_name, their_default), (our_name, our_default) in zip(theirs, ours, strict=True):
        assert their_default == our_default
        assert their_name in (our_name, "arg1")  # arg1: it has no name there


@pytest.mark.parametrize("name", ["Device", "Context", "Stream"])
def test_the_tests_classes_have_what_pycudas_have(gpu, name):
    ours = getattr(gpu.cuda, name)
    for member, signatures in CLASSES[name].items():
        if signatures:
            theirs = [one for one in parameters(signatures[0]) if one != ("arg1", False)]  # arg1: self
            assert len(of(getattr(ours, member))) == len(theirs)


def test_errors_are_related_as_pycudas_are(gpu):
    for name in ("MemoryError", "LogicError", "LaunchError", "RuntimeError"):
        assert API["errors"][name] == "Error"
        assert issubclass(getattr(gpu.cuda, name), gpu.cuda.Error)


def test_only_names_that_pycuda_has_are_called():
    tree = ast.parse(Path(cuda_device.__file__).read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._cuda"
    }
    assert used == {*FUNCTIONS, "Device", "Context", "Stream", "Error", "MemoryError"}
    assert used <= {*FUNCTIONS, *CLASSES, *API["errors"]}


def test_no_source_is_compiled_on_the_gpus_machine():
    """A kiosk has no nvcc: SourceModule and what is made with it are not used."""
    folder = Path(cuda_device.__file__).parent
    for path in folder.glob("*.py"):
        assert not re.search(
            r"SourceModule|pycuda\.(compiler|gpuarray|elementwise|autoinit)", path.read_text()
        )


def test_the_driver_is_called_with_types_that_fit():
    """Handles are pointers: a bare int of Python would be cut to 32 bits."""
    for name, types in cuda_driver.SIGNATURES.items():
        handles = {ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)}
        assert types[0] in handles or name == "cuDevicePrimaryCtxReset_v2"
    with pytest.raises(cuda_driver.DriverError, match="has no cuGraphLaunch"):
        cuda_driver._function(ctypes.CDLL(None), "cuGraphLaunch")
