"""Engines on one GPU, which are reopened together after the GPU was lost, if that is possible."""

import re
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any, Literal

from base.errors import BackendError, EngineError, GpenEdgeError
from base.text import cause_of, joined_lines
from engines import tensorrt_api
from engines.builder import (
    EngineOptions,
    OpenEngine,
    ResolvedOptions,
    Watch,
    engine_for,
    open_engine,
    resolve,
)
from engines.engine_files import write_whole
from engines.gpu import find_gpu
from engines.package import GraphName, Package
from engines.tensorrt_api import RuntimeName, TensorRt
from runtime.network.backends.cuda_device import CudaDevice
from runtime.network.backends.lost_devices import check_not_lost, mark_as_lost
from runtime.network.backends.protocol import BatchLostError

_RUNTIME: dict[str, RuntimeName] = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
_FULL = re.compile(r"out ?of ?memory", re.IGNORECASE)


class GpuEngines:
    """Engines of one or more packages, open on one GPU.

    Who uses them allocates memory on the GPU, and registers a function that frees it: it is called when the
    memory is full or the GPU was lost. Only `at_work` gives access to the GPU, to one thread at a time.
    """

    def __init__(
        self,
        name: Literal["tensorrt", "tensorrt-rtx"],
        index: int,
        watch: Watch | None,
    ) -> None:
        """Find the runtime and the GPU. Raises BackendError or EngineError if one is missing."""
        self.device = f"cuda:{index}"
        check_not_lost(self.device)
        self._index, self._watch = index, watch or Watch()
        gpu = find_gpu(index)
        if gpu is None:
            raise BackendError(
                f"{name} needs an NVIDIA GPU with a working driver, and there is no {self.device}: "
                "add --backend onnxruntime"
            )
        self._resolved: ResolvedOptions = resolve(EngineOptions(runtime=_RUNTIME[name], device=index))
        self.why = f"{self.api.name} {self.api.version}, {gpu.name}"
        self.turn = threading.RLock()
        self._packages: dict[GraphName, Package] = {}
        self._open_engines: dict[GraphName, OpenEngine] = {}
        self._settings: dict[GraphName, Any] = {}
        self._most: dict[GraphName, int] = {}
        self._frees: list[Callable[[CudaDevice], None]] = []
        self._gpu: CudaDevice | None = None
        self._lost = self._closed = self._compiled = False

    @property
    def api(self) -> TensorRt:
        """The runtime of the engines."""
        return self._resolved.api

    def open(self, package: Package, graphs: Sequence[GraphName], free: Callable[[CudaDevice], None]) -> None:
        """Open the GPU and the first engines on it, building those that the cache lacks.

        free  frees the memory of who uses them

        Raises BackendError or EngineError; nothing stays open then.
        """
        self._packages = dict.fromkeys(graphs, package)
        self._frees.append(free)
        self._open()

    def add(self, package: Package, graph: GraphName, free: Callable[[CudaDevice], None]) -> None:
        """Open a further engine. If that fails, the others stay open.

        Raises BackendError, EngineError and PackageError.
        """
        if graph in self._packages:
            raise BackendError(f"an engine for {graph}.onnx is open on {self.device} already")
        # Building takes minutes, in which others may use the GPU.
        engine_for(package, graph, self._resolved, watch=self._watch)

        def too_small() -> BackendError:
            return BackendError(f"the memory of {self.device} is too small for the engine of {graph}.onnx")

        with self.at_work(too_small):
            self._open_engine(package, graph)
            self._packages[graph] = package
            self._frees.append(free)

    def most_batch(self, graphs: Sequence[GraphName]) -> int:
        """Return the largest batch that all of these engines accept."""
        return min(self._most[graph] for graph in graphs)

    def context(self, graph: GraphName) -> Any:
        """Return a new IExecutionContext of an engine; call it at work. Raises EngineError."""
        context = tensorrt_api.create_context(
            self.api, self._open_engines[graph].engine, self._settings[graph]
        )
        if context is None:
            raise EngineError(f"{self.api.name} cannot make {graph}.onnx ready to run")
        self._compiled = self.api.captures
        return context

    def forget_errors(self, graph: GraphName) -> None:
        """Forget the errors that TensorRT has logged about an engine."""
        self._open_engines[graph].errors.clear()

    def notice(self, sentence: str) -> None:
        """Pass a notice to the observer of engine builds."""
        self._watch.notice(sentence)

    def worked(self) -> None:
        """Note that a result was downloaded: a GPU that is lost after this is reopened again."""
        self._lost = False

    @contextmanager
    def at_work(self, too_small: Callable[[], BackendError]) -> Iterator[CudaDevice]:
        """Hold the GPU; on failure, recover if possible and raise an error that says so.

        too_small  returns the error to raise if the GPU's memory is full; all of it has been freed by then

        Raises BackendError: BatchLostError if it can be tried again, DeviceLostError if only a new process
        can use the GPU.
        """
        with self.turn:
            check_not_lost(self.device)
            if self._closed:
                raise BackendError("the backend is closed: open it again")
            if self._gpu is None:
                self._open()
            gpu = self._gpu
            assert gpu is not None
            try:
                with _current(gpu):
                    yield gpu
            except gpu.errors as error:
                raise self._recovered(gpu, error, too_small) from error
            except BaseException:  # interrupted: the state of the GPU is unknown
                self.free_memory()
                raise

    def free_memory(self) -> None:
        """Free all users' memory; on a GPU that no longer responds, as much as possible."""
        gpu = self._gpu
        if gpu is None:
            return
        with suppress(*gpu.errors), ExitStack() as stack:
            with suppress(*gpu.errors):
                stack.enter_context(gpu.current())
                gpu.wait()
            for free in self._frees:
                free(gpu)

    def keep_kernels(self) -> None:
        """Save the kernels that TensorRT-RTX has compiled, for the next start."""
        if not self._compiled or self._gpu is None:
            return
        self._compiled = False
        with self._gpu.current():
            for graph, opened in self._open_engines.items():
                kernels = tensorrt_api.compiled_kernels(self._settings.get(graph))
                if kernels:
                    with suppress(OSError):  # the folder may be read-only
                        write_whole(opened.cached.kernels, kernels)

    def close(self) -> None:
        """Free all GPU memory and the GPU; nothing can be used afterwards."""
        with self.turn:
            self._closed = True
            self._shut()

    def _open(self) -> None:
        """Open the GPU, and the engines on it."""
        gpu = self._gpu = CudaDevice(self._index)
        try:
            with _current(gpu):
                for graph, package in self._packages.items():
                    self._open_engine(package, graph)
        except BaseException:
            self._shut()
            raise

    def _open_engine(self, package: Package, graph: GraphName) -> None:
        opened = open_engine(package, graph, self._resolved, watch=self._watch)
        kernels = b""
        with suppress(OSError):
            kernels = opened.cached.kernels.read_bytes()
        opened.cached = replace(opened.cached, plan=b"")  # it has been uploaded to the GPU
        self._open_engines[graph] = opened
        self._most[graph] = opened.cached.record.key.max_batch
        self._settings[graph] = tensorrt_api.run_settings(opened.api, opened.engine, kernels)

    def _shut(self, *, lost: bool = False) -> None:
        """Free everything in order of dependency."""
        self.free_memory()
        gpu, self._gpu = self._gpu, None
        if gpu is None:
            return
        with suppress(*gpu.errors), gpu.current():
            self._settings.clear()
            self._open_engines.clear()
        # If it could not be made current: they must go before it is closed.
        self._settings, self._open_engines = {}, {}
        gpu.close(lost=lost)

    def _recovered(
        self, gpu: CudaDevice, error: Exception, too_small: Callable[[], BackendError]
    ) -> BackendError:
        """Free the users' memory, recover if possible, and return the error to raise."""
        logs = [opened.errors for opened in self._open_engines.values()]
        logged = [message for log in logs for message in log]
        for log in logs:
            log.clear()
        reason = cause_of(error) + "".join(f": {joined_lines(message)}" for message in logged[:1])
        full = gpu.is_full(error) or bool(_FULL.search(reason))
        self.free_memory()
        if not gpu.answers():
            again, self._lost = not self._lost, True
            self._shut(lost=True)
            if not again:
                return mark_as_lost(self.device, f"twice: {reason}")
            try:
                self._open()
            except GpenEdgeError:  # it says the same: the driver repeats the error
                return mark_as_lost(self.device, reason)
            return BatchLostError(f"{self.device} was lost ({reason}) and has been reopened: try again")
        if full:
            return too_small()
        return BackendError(f"{self.api.name} failed on {self.device}: {reason}")


@contextmanager
def _current(gpu: CudaDevice) -> Iterator[None]:
    """Make a GPU current. An error's frames are cleared: their TensorRT objects must not outlive the GPU."""
    with gpu.current():
        try:
            yield
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            raise
