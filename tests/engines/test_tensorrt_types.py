"""mypy holds the seam to TensorRT's types: to those generated from RTX (it follows 11), and to 10's names.

The type stubs on PyPI (tensorrt-stubs) cannot be a dependency: see test_tensorrt_api.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx")

ROOT = Path(__file__).parents[2]
SEAM = ("engines/tensorrt_api.py", "engines/turing.py")
WRONG = """
import tensorrt as typed

def build(builder: typed.Builder) -> None:
    builder.build_cuda_engine()
"""


def of_rtx(folder):
    """Write stubs as pybind11-stubgen reads them off the installed TensorRT-RTX."""
    name = "tensorrt_rtx_bindings.tensorrt_rtx"
    command = [sys.executable, "-m", "pybind11_stubgen", name, "-o", str(folder), "--ignore-all-errors"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    stubs = (folder / "tensorrt_rtx_bindings" / "tensorrt_rtx.pyi").read_text()
    stubs = re.sub(r"\bin: ", "in_: ", stubs)  # no name for a parameter
    stubs = re.sub(r"^bool: .*$", "", stubs, flags=re.MULTILINE)  # would hide Python's own
    return re.sub(r"channel_axis: [\w.]+\) -> IScaleLayer", "channel_axis: int = ...) -> IScaleLayer", stubs)


def of_tensorrt_10(folder):
    """Write stubs of the names of 10.13: classes with members of any type."""
    names = json.loads((ROOT / "tests/data/tensorrt-10.13.names.json").read_text())
    lines = ["from typing import Any"]
    for name in names[""]:
        members = [f"    {member}: Any" for member in names.get(name, []) if member[:2] != "__"]
        lines += [f"class {name}:", *members, "    def __getitem__(self, at: Any) -> Any: ..."]
    return "\n".join(lines)


@pytest.mark.parametrize("write", [of_rtx, of_tensorrt_10])
def test_the_seam_fits_the_types(tmp_path, tmp_path_factory, write):
    (tmp_path / "stubs" / "tensorrt").mkdir(parents=True)
    (tmp_path / "stubs" / "tensorrt" / "__init__.pyi").write_text(write(tmp_path))
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nwarn_return_any = false\nmypy_path = {tmp_path / 'stubs'}\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini")]
    command += [
        "--cache-dir",
        str(tmp_path_factory.getbasetemp() / "mypy"),
        *SEAM,
        str(tmp_path / "wrong.py"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    told = [line for line in result.stdout.splitlines() if ": error: " in line and "/stubs/" not in line]
    # Just the mistake that is made on purpose: so the types are looked at.
    assert len(told) == 1, result.stdout
    assert 'wrong.py:5: error: "Builder" has no attribute "build_cuda_engine"' in told[0]
