"""Which backend runs: what `auto` picks and says, and what a wish that cannot be met is answered."""

import sys
from pathlib import Path

import pytest

from base.errors import BackendError, EngineError, SettingsError
from engines.package import Port, open_package
from runtime.network.backends import open_backend
from runtime.network.backends.onnxruntime import providers
from runtime.restore import main


@pytest.fixture
def package(tiny_package):
    return open_package(tiny_package)


@pytest.fixture
def no_gpu(monkeypatch):
    for module in (
        "engines.builder",
        "runtime.network.backends.choice",
        "runtime.network.backends.gpu_engines",
    ):
        monkeypatch.setattr(f"{module}.find_gpu", lambda index=0: None)


def opened(*arguments, **options):
    """Return name, device and reason of the backend that is picked."""
    backend = open_backend(*arguments, **options)
    try:
        return backend.name, backend.device, backend.why
    finally:
        backend.close()


def test_auto_takes_tensorrt_where_it_is(gpu, package):
    assert opened("auto", package) == ("tensorrt", "cuda:0", "TensorRT 10.13.3.9, Fake")
    assert gpu.is_bare()


def test_auto_takes_rtx_where_tensorrt_is_not_and_says_so(gpu, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    name, device, why = opened("auto", package)
    assert (name, device) == ("tensorrt-rtx", "cuda:0")
    assert why.startswith("TensorRT-RTX 1.7.1, Fake; TensorRT: TensorRT is not installed: pip install")


def test_auto_takes_cuda_where_there_is_no_tensorrt(gpu, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    asked = []

    def sessions(graph, device, chosen, threads):
        asked.append((device, chosen))
        return object()

    monkeypatch.setattr("runtime.network.backends.onnxruntime._open", sessions)
    name, device, why = opened("auto", package)
    assert (name, device) == ("onnxruntime", "cuda:0")
    assert why.startswith("TensorRT: PyCUDA is not installed")
    assert asked[0] == ("cuda:0", [("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0"})])


def test_auto_takes_the_cpu_where_nothing_can_use_the_gpu_and_says_why(gpu, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    name, device, why = opened("auto", package, threads=1)
    assert (name, device) == ("onnxruntime", "cpu")
    for part in ("TensorRT: PyCUDA is not installed", "ONNX Runtime on CUDA: this ONNX Runtime cannot use"):
        assert part in why


def test_auto_takes_the_cpu_where_there_is_no_gpu(no_gpu, package):
    expected = ("onnxruntime", "cpu", "no NVIDIA GPU with a working driver was found")
    assert opened("auto", package, threads=1) == expected
    assert opened("auto", package, device="cpu", threads=1)[2] == "the CPU was requested"


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("tensorrt",), {}, "^tensorrt needs an NVIDIA GPU .*no cuda:0: add --backend onnxruntime$"),
        (("tensorrt-rtx",), {}, "tensorrt-rtx needs an NVIDIA GPU .*no cuda:0: add --backend"),
        (("tensorrt",), {"device": "cpu"}, "tensorrt runs on NVIDIA GPUs: leave --device cpu out"),
        (("auto",), {"device": "cuda:1"}, "no NVIDIA GPU with a working driver is cuda:1: .*--device cpu"),
        (("onnxruntime",), {"provider": "tensorrt", "device": "cuda:0"}, "no TensorrtExecutionProvider"),
        (
            ("onnxruntime",),
            {"provider": "tensorrt-rtx"},
            "no NvTensorRTRTXExecutionProvider: .*pip install onnxruntime-trt-rtx, or use --provider cuda",
        ),
        (
            ("onnxruntime",),
            {"provider": "cuda", "device": "cpu"},
            "provider cuda belongs to ONNX Runtime on a GPU",
        ),
        (("auto",), {"provider": "cuda"}, "add --backend onnxruntime"),
        (("torch",), {}, "no backend 'torch': there are auto, tensorrt, tensorrt-rtx, onnxruntime"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_clear_line(no_gpu, package, monkeypatch, arguments, options, told):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises((BackendError, EngineError), match=told) as error:
        open_backend(*arguments, package, **options)
    assert "\n" not in str(error.value)


def test_with_a_gpu_a_missing_runtime_is_named_with_what_installs_it(gpu, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"TensorRT is not installed: pip install 'gpen-edge\[tensorrt\]'"):
        open_backend("tensorrt", package)


@pytest.mark.parametrize("installed", [True, False])
def test_without_a_gpu_tensorrt_says_what_the_command_line_can_do(
    gpu, no_gpu, tiny_package, portrait_file, tmp_path, capsys, monkeypatch, installed
):
    if not installed:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
    arguments = [str(portrait_file), "-o", str(tmp_path / "out.png"), "--model", str(tiny_package)]
    assert main([*arguments, "--backend", "tensorrt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("there is no cuda:0: add --backend onnxruntime")


def test_onnx_runtime_on_a_gpu_that_was_asked_for_gives_that_as_its_reason(gpu, package, monkeypatch):
    monkeypatch.setattr("runtime.network.backends.onnxruntime._open", lambda *arguments: object())
    assert opened("onnxruntime", package, device="cuda:0") == ("onnxruntime", "cuda:0", "requested")


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:x", "cuda:0000", "cpu\n", ""])
def test_a_device_is_judged_in_one_place(package, device, tmp_path):
    with pytest.raises(SettingsError, match="give cpu, or cuda:0") as in_python:
        open_backend("auto", package, device=device)
    file = tmp_path / "config.json"
    file.write_text(f'{{"device": {device!r}}}'.replace("'", '"'))
    from runtime.settings.config_file import read_config

    with pytest.raises(SettingsError) as in_a_file:
        read_config(file)
    assert str(in_a_file.value).endswith(str(in_python.value))


def test_the_command_line_says_which_backend_and_why(tiny_package, portrait_file, tmp_path, capsys):
    out = tmp_path / "out.png"
    arguments = [str(portrait_file), "-o", str(out), "--model", str(tiny_package), "--device", "cpu"]
    assert main(arguments) == 0
    assert "backend: onnxruntime on cpu (the CPU was requested)" in capsys.readouterr().err.splitlines()
    assert main([*arguments, "--overwrite", "--backend", "tensorrt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: tensorrt runs on NVIDIA GPUs")


def test_tensorrt_providers_are_told_the_batches_to_come():
    ports = (Port("crop", "float32", ("batch", 3, 64, 64)), Port("w", "float32", ("batch", 8)))
    (first, options), cuda = providers("tensorrt", 1, ports, 4)
    assert first == "TensorrtExecutionProvider"
    assert options == {
        "device_id": "1",
        "trt_profile_min_shapes": "crop:1x3x64x64,w:1x8",
        "trt_profile_opt_shapes": "crop:1x3x64x64,w:1x8",
        "trt_profile_max_shapes": "crop:4x3x64x64,w:4x8",
    }
    assert cuda[0] == "CUDAExecutionProvider"
    ((name, options),) = providers("tensorrt-rtx", 0, ports, 4)
    assert name == "NvTensorRTRTXExecutionProvider"
    assert set(options) == {"device_id", *(f"nv_profile_{bound}_shapes" for bound in ("min", "opt", "max"))}


def test_backends_are_imported_only_where_they_are_used():
    """Without a GPU neither PyCUDA nor TensorRT is looked for, so that nothing of theirs can break a run."""
    import subprocess

    code = (
        "import sys; import runtime.restore; from engines.package import open_package;"
        "from runtime.network.backends import open_backend;"
        "open_backend('auto', open_package(), device='cpu').close();"
        "unwanted = ('pycuda', 'tensorrt', 'tensorrt_rtx', 'torch');"
        "print([name for name in sys.modules if name.split('.')[0] in unwanted])"
    )
    root = Path(__file__).parents[4]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=600
    )
    assert result.stdout == "[]\n", result.stderr
