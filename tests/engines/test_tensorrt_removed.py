"""Nothing that TensorRT 11 has removed is used outside the seam."""

import ast
import json
from pathlib import Path

import pytest

tensorrt_rtx = pytest.importorskip("tensorrt_rtx")

ROOT = Path(__file__).parents[2]
NAMES = json.loads((ROOT / "tests/data/tensorrt-10.13.names.json").read_text())
SEAM = {Path("engines/tensorrt_api.py"), Path("engines/turing.py")}

# From "Removed Python APIs and Replacements" and "Removed C++ APIs and Replacements" in NVIDIA's guide
# "Migrating from TensorRT 10.x to 11.x", by the names that Python has.
DOCUMENTED = {
    *("FP16", "INT8", "FP8", "BF16", "INT4", "FP4", "DIRECT_IO"),
    *("OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS"),
    *("int8_calibrator", "set_calibration_profile", "get_calibration_profile", "quantization_flags"),
    *("set_quantization_flag", "get_quantization_flag", "clear_quantization_flag", "device_memory_size"),
    *("IAlgorithm", "IAlgorithmContext", "IAlgorithmIOInfo", "IAlgorithmSelector", "IAlgorithmVariant"),
    *("platform_has_fast_fp16", "platform_has_fast_int8"),
}
OURS = {"precision"}
"""Names that packages and engine layers have too; the seam's own test covers TensorRT's `precision`."""


def removed():
    """Return the documented names, and all that 10.13 has and RTX, whose API follows 11, has not."""
    gone = {name for name in NAMES[""] if not hasattr(tensorrt_rtx, name)}
    for name, members in NAMES.items():
        if name and hasattr(tensorrt_rtx, name):
            there = getattr(tensorrt_rtx, name)
            gone |= {member for member in members if member[:2] != "__" and not hasattr(there, member)}
    return (DOCUMENTED | gone) - OURS


def uses(tree):
    """Yield the names of a source's attributes and of what it imports or asks for by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "attr" in node.func.id:
            yield from (part.value for part in node.args if isinstance(part, ast.Constant))


def test_no_source_outside_the_seam_uses_what_tensorrt_11_has_removed():
    gone = removed()
    assert len(gone) > 60
    found = {
        (str(path.relative_to(ROOT)), name)
        for package in ("bench", "calibration", "engines", "export", "runtime", "training")
        for path in (ROOT / package).rglob("*.py")
        if path.relative_to(ROOT) not in SEAM
        for name in uses(ast.parse(path.read_text()))
        if name in gone
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "config.set_flag(trt.BuilderFlag.FP16)",
        "config.int8_calibrator = calibrator",
        "from tensorrt import IInt8EntropyCalibrator2",
        "size = engine.device_memory_size",
        "getattr(builder, 'platform_has_fast_fp16')",
        "context = engine.create_execution_context_without_device_memory()",
    ],
)
def test_such_a_use_would_be_found(source):
    assert set(uses(ast.parse(source))) & removed()
