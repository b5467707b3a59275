"""A GPU made of host memory: PyCUDA's calls, the driver's and TensorRT's, as their documentation has them.

Work that is put on a stream is done when somebody waits for it, not before: what is read too early is wrong
here too. Engines are ONNX graphs, run by ONNX Runtime from and into the addresses they were given.
"""

import enum
import hashlib
import itertools
import sys
import threading
import types
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from engines.construction import Built
from engines.gpu import Gpu
from engines.package import open_package
from runtime.network.backends import lost_devices, open_backend

OUT_OF_MEMORY, ILLEGAL_ADDRESS = 2, 700
SESSIONS = {}


class Allocation:
    """pycuda.driver.DeviceAllocation, or the memory behind a pinned array."""

    def __init__(self, gpu, held, address, content):
        self._gpu, self._held, self._address, self.content = gpu, held, address, content
        held[address] = self

    def __int__(self):
        return self._address

    def free(self):
        self._gpu.check("free")
        assert self._held.pop(self._address, None) is self, "freed twice"
        assert not self._gpu.pending, "freed while the stream may still use it"
        self._gpu.events.append("free")


class Pinned(np.ndarray):
    """An array whose base is the allocation, as PyCUDA's are."""

    allocation = None

    @property
    def base(self):
        return self.allocation if self.allocation is not None else super().base


class FakeGpu:
    def __init__(self):
        self.limit = 1 << 40
        self.memory, self.pinned, self.graphs = {}, {}, {}
        self.streams, self.retained = set(), 0
        self.pending, self.capturing = [], None
        self.events, self.transfers, self.runs = [], [], Counter()
        self.lost, self.resets = False, 0
        self.recovers = False
        """Whether a reset ends the error, as after some; after most, only the process can end."""
        self.refuses_capture = self.refuses_to_run = False
        self.lose_after = None
        self.kernels_given = []
        self.objects, self.orphans = Counter(), []
        self.local = threading.local()
        self.numbers = itertools.count(1)
        self.cuda = pycuda_driver(self)

    @property
    def stack(self):
        if not hasattr(self.local, "stack"):
            self.local.stack = []
        return self.local.stack

    def check(self, what, current=True):
        if current and not self.stack:
            raise self.cuda.LogicError("explicit_context_dependent failed: invalid device context")
        if self.lost:
            raise self.cuda.LogicError(f"{what} failed: an illegal memory access was encountered")

    def find(self, address, size):
        for start, allocation in self.memory.items():
            if start <= address and address + size <= start + len(allocation.content):
                return allocation.content[address - start : address - start + size]
        raise AssertionError(f"{size} bytes at {address} are not allocated")

    def put(self, work):
        (self.pending if self.capturing is None else self.capturing).append(work)

    def drain(self):
        while self.pending and not self.lost:
            self.pending.pop(0)()

    def is_pinned(self, array):
        at, size = array.ctypes.data, array.nbytes
        return any(
            block.content.ctypes.data <= at and at + size <= block.content.ctypes.data + block.content.nbytes
            for block in self.pinned.values()
        )

    def is_bare(self):
        """Say whether nothing is held of the GPU."""
        objects = self.objects.total()
        return not (objects or self.memory or self.pinned or self.graphs or self.streams or self.retained)


def pycuda_driver(gpu):
    """Return a module like pycuda.driver; its signatures are held to PyCUDA's own by a test."""
    cuda = types.ModuleType("pycuda.driver")
    cuda.Error = type("Error", (Exception,), {})
    for name in ("MemoryError", "LogicError", "LaunchError", "RuntimeError"):
        setattr(cuda, name, type(name, (cuda.Error,), {}))

    def init(flags=0):
        pass

    class Device:
        def __init__(self, number):
            self.number = number

        @staticmethod
        def count():
            return 1

        def retain_primary_context(self):
            gpu.check("cuDevicePrimaryCtxRetain", current=False)
            gpu.retained += 1
            return Context()

    class Context:
        valid = True

        def push(self):
            gpu.check("cuCtxPushCurrent", current=False)
            assert self.valid
            gpu.stack.append(self)

        @staticmethod
        def pop():
            gpu.stack.pop()

        @staticmethod
        def synchronize():
            gpu.check("cuCtxSynchronize")
            gpu.drain()

        def detach(self):
            assert self.valid
            self.valid = False
            # PyCUDA's own stack still has it; the driver's has lost it by `pop_context`.
            if gpu.stack and gpu.stack[-1] is self:
                gpu.stack.pop()
                gpu.retained -= 1

    class Stream:
        def __init__(self, flags=0):
            gpu.check("cuStreamCreate")
            assert flags == 1
            self.handle = next(gpu.numbers)
            gpu.streams.add(self.handle)

        def synchronize(self):
            gpu.check("cuStreamSynchronize")
            gpu.drain()
            gpu.check("cuStreamSynchronize")

        def __del__(self):
            gpu.streams.discard(self.handle)

    def mem_alloc(bytes):
        gpu.check("cuMemAlloc")
        if bytes + sum(len(block.content) for block in gpu.memory.values()) > gpu.limit:
            raise cuda.MemoryError("cuMemAlloc failed: out of memory")
        gpu.events.append("allocate")
        return Allocation(gpu, gpu.memory, next(gpu.numbers) << 40, np.full(bytes, 0xFF, np.uint8))

    def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
        gpu.check("cuMemHostAlloc")
        gpu.events.append("allocate")
        content = np.full(shape, 0xFF, dtype)
        array = content.view(Pinned)
        array.allocation = Allocation(gpu, gpu.pinned, content.ctypes.data, content)
        return array

    def memcpy_htod_async(dest, src, stream=None):
        gpu.check("cuMemcpyHtoDAsync")
        assert gpu.is_pinned(src)
        gpu.transfers.append(("up", src.nbytes))
        gpu.put(lambda: np.copyto(gpu.find(dest, src.nbytes), src.view(np.uint8)))

    def memcpy_dtoh_async(dest, src, stream=None):
        gpu.check("cuMemcpyDtoHAsync")
        assert gpu.is_pinned(dest)
        gpu.transfers.append(("down", dest.nbytes))
        gpu.put(lambda: np.copyto(dest.view(np.uint8), gpu.find(src, dest.nbytes)))

    def memcpy_dtod_async(dest, src, size, stream=None):
        gpu.check("cuMemcpyDtoDAsync")
        gpu.put(lambda: np.copyto(gpu.find(dest, size), gpu.find(src, size).copy()))

    for thing in (Device, Context, Stream, init, mem_alloc, pagelocked_empty):
        setattr(cuda, thing.__name__, thing)
    for thing in (memcpy_htod_async, memcpy_dtoh_async, memcpy_dtod_async):
        setattr(cuda, thing.__name__, thing)
    return cuda


def driver_library(gpu):
    """Return an object like the loaded libcuda, with the functions of cuda_driver.SIGNATURES."""

    def value(argument):
        return getattr(argument, "value", argument)

    def begin(stream, mode):
        assert (stream in gpu.streams, mode) == (True, 1)
        if gpu.refuses_capture:
            return 900  # CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        gpu.capturing = []
        return 0

    def end(stream, graph):
        graph._obj.value = next(gpu.numbers)
        gpu.graphs[graph._obj.value], gpu.capturing = gpu.capturing, None
        return 0

    def instantiate(ready, graph, flags):
        ready._obj.value = next(gpu.numbers)
        gpu.graphs[ready._obj.value] = list(gpu.graphs[value(graph)])
        return 0

    def launch(graph, stream):
        gpu.events.append("graph")
        gpu.pending.extend(gpu.graphs[graph])
        return 0

    def destroy(graph):
        del gpu.graphs[value(graph)]
        return 0

    def reset(device):
        gpu.memory.clear(), gpu.pinned.clear(), gpu.pending.clear(), gpu.graphs.clear()
        gpu.retained = 0
        gpu.lost, gpu.resets = not gpu.recovers, gpu.resets + 1
        return 0

    functions = {
        "cuStreamBeginCapture_v2": begin,
        "cuStreamEndCapture": end,
        "cuGraphInstantiateWithFlags": instantiate,
        "cuGraphLaunch": launch,
        "cuGraphExecDestroy": destroy,
        "cuGraphDestroy": destroy,
        "cuCtxPopCurrent_v2": lambda context: 0,
        "cuDevicePrimaryCtxReset_v2": reset,
    }
    return types.SimpleNamespace(**functions)


class OfTensorRt:
    """An object of TensorRT: an orphan when it goes after the GPU's context, or while that is not current."""

    def __init__(self, gpu):
        self._gpu = gpu
        gpu.objects[type(self).__name__] += 1

    def __del__(self):
        gpu = self._gpu
        gpu.objects[type(self).__name__] -= 1
        if not gpu.retained or not (gpu.stack or gpu.lost):
            gpu.orphans.append(type(self).__name__)


class Engine(OfTensorRt):
    """ICudaEngine: its plan is an ONNX file."""

    def __init__(self, gpu, plan):
        super().__init__(gpu)
        key = hashlib.sha256(plan).digest()
        if key not in SESSIONS:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            SESSIONS[key] = onnxruntime.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        self.session = SESSIONS[key]

    def create_execution_context(self, strategy):
        assert getattr(strategy, "name", None) == "USER_MANAGED" or strategy.strategy.name == "USER_MANAGED"
        return ExecutionContext(self._gpu, self.session)

    def create_runtime_config(self):
        return RuntimeConfig(self._gpu)


class ExecutionContext(OfTensorRt):
    """IExecutionContext."""

    def __init__(self, gpu, session):
        super().__init__(gpu)
        self._session = session
        self._shapes, self._addresses, self._scratch = {}, {}, (0, 0)
        self._inputs = {port.name: port for port in session.get_inputs()}
        self._names = [port.name for port in session.get_inputs() + session.get_outputs()]

    def set_input_shape(self, name, shape):
        fits = name in self._inputs and 1 <= shape[0] <= 8
        self._shapes[name] = tuple(shape)
        return fits and list(shape[1:]) == self._inputs[name].shape[1:]

    def update_device_memory_size_for_shapes(self):
        return 1000 * next(iter(self._shapes.values()))[0]

    def set_tensor_address(self, name, memory):
        assert memory % 256 == 0
        self._addresses[name] = memory
        return name in self._names

    def set_device_memory(self, memory, size):
        assert memory % 256 == 0
        self._scratch = (memory, size)

    def execute_async_v3(self, stream_handle):
        gpu = self._gpu
        if gpu.refuses_to_run:
            return False
        assert stream_handle in gpu.streams
        assert gpu.stack
        assert set(self._addresses) == set(self._names)
        assert self._scratch[1] >= self.update_device_memory_size_for_shapes()
        gpu.events.append("captured" if gpu.capturing is not None else "run")
        gpu.put(partial(run, gpu, self._session, self._shapes, self._addresses, self._scratch))
        return True


def run(gpu, session, shapes, addresses, scratch):
    """Do what an execution context has put on the stream; a CUDA graph has that without the context."""
    if gpu.lose_after is not None:
        gpu.lose_after -= 1
        if gpu.lose_after < 0:
            gpu.lost, gpu.lose_after = True, None
            return
    gpu.runs[session.get_outputs()[0].name] += 1
    gpu.find(*scratch)[:] = 0xFF
    feeds = {
        name: gpu.find(addresses[name], 4 * int(np.prod(shape))).view(np.float32).reshape(shape).copy()
        for name, shape in shapes.items()
    }
    outputs = session.run(None, feeds)
    for port, output in zip(session.get_outputs(), outputs, strict=True):
        assert output.dtype == np.float32
        target = gpu.find(addresses[port.name], output.nbytes)
        target[:] = np.ascontiguousarray(output).view(np.uint8).ravel()


class RuntimeConfig(OfTensorRt):
    """TensorRT-RTX's IRuntimeConfig, and its IRuntimeCache."""

    dynamic_shapes_kernel_specialization_strategy = cuda_graph_strategy = None

    def __init__(self, gpu):
        super().__init__(gpu)
        self._cache = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        given = self._gpu.kernels_given
        return types.SimpleNamespace(
            deserialize=lambda blob: given.append(bytes(blob)) or True,
            serialize=lambda: b"kernels",
        )

    def set_runtime_cache(self, cache):
        self._cache = cache

    def get_runtime_cache(self):
        return self._cache


def tensorrt_module(gpu, name, version):
    """Return a module like tensorrt or tensorrt_rtx."""
    trt = types.ModuleType(name)
    trt.__version__, trt.Builder = version, object

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class Runtime(OfTensorRt):
        def __init__(self, logger):
            super().__init__(gpu)
            assert gpu.stack

        def deserialize_cuda_engine(self, plan):
            gpu.check("cuMemAlloc")
            return Engine(gpu, plan)

    trt.ILogger, trt.Runtime = ILogger, Runtime
    for name, members in (
        ("ExecutionContextAllocationStrategy", "STATIC ON_PROFILE_CHANGE USER_MANAGED"),
        ("DynamicShapesKernelSpecializationStrategy", "LAZY EAGER NONE"),
        ("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE"),
    ):
        setattr(trt, name, enum.Enum(name, members))
    trt.ComputeCapability = enum.Enum("ComputeCapability", "SM80 SM86 SM87")
    return trt


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A machine with a GPU, PyCUDA, TensorRT and TensorRT-RTX, and an empty engine cache."""
    gpu = FakeGpu()
    monkeypatch.setattr(lost_devices, "_LOST", {})
    package = types.ModuleType("pycuda")
    package.driver = gpu.cuda
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", gpu.cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_module(gpu, "tensorrt", "10.13.3.9"))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", tensorrt_module(gpu, "tensorrt_rtx", "1.7.1"))
    found = Gpu("Fake", (8, 7), 16)
    for module in (
        "engines.builder",
        "runtime.network.backends.choice",
        "runtime.network.backends.gpu_engines",
    ):
        monkeypatch.setattr(f"{module}.find_gpu", lambda index=0: found)
    monkeypatch.setattr("runtime.network.backends.cuda_driver.driver_library", lambda: driver_library(gpu))
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "cache"))

    def build_apart(request, told):
        Path(request.output).write_bytes(Path(request.graph).read_bytes())
        return Built()

    monkeypatch.setattr("engines.builder.build_apart", build_apart)
    yield gpu
    assert not gpu.stack, "a context was left current"
    assert not gpu.orphans


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def backend(request, gpu, tiny_package):
    opened = open_backend(request.param, open_package(tiny_package))
    yield opened
    opened.close()
