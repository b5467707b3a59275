"""What several tests need: a real photo, and a small package that is quick to run."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage.data import astronaut

from base.files import sha256
from base.malloc import reuse_freed_memory
from engines.package import PHOTO, Graph, Manifest, Port, Source, write_manifest
from runtime.network import loop

# The suite gives the same answer every time; `pytest --hypothesis-profile=explore` looks further.
# A busy machine is no failure.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")

# No result hangs on which backend was faster while the tests ran; processes that they start inherit this.
os.environ["GPEN_EDGE_MEASURE"] = "0"

# The time that a face may take counts only while it is worked on: a busy machine ends no loop early.
loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[assignment]

# Compiled modules are kept whatever the shell says: the tests start some hundred processes, whose imports
# take half as long again without them.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The system need not clear pages again for every array of a few megabytes.
reuse_freed_memory()

# A shell has what it starts in the background ignore Ctrl-C, and what that starts as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


LANDMARKS = Path(__file__).parents[1] / "runtime" / "data"
"""The networks that come with the runtime; each restorer opens five of them."""


class OpenedOnce(type(onnxruntime.InferenceSession)):  # type: ignore[misc]
    """Sessions of the networks in that folder, which have no state, are opened once for all tests."""

    opened: ClassVar[dict[object, Any]] = {}

    def __call__(cls, model: object, sess_options: Any = None, *more: Any, **named: Any) -> Any:
        def opened() -> Any:
            return super(OpenedOnce, cls).__call__(model, sess_options, *more, **named)

        if Path(str(model)).parent != LANDMARKS or sess_options is None or sess_options.enable_profiling:
            return opened()
        key = (model, sess_options.intra_op_num_threads, repr(more), repr(named))
        return cls.opened.get(key) or cls.opened.setdefault(key, opened())


class OneThread(onnxruntime.InferenceSession, metaclass=OpenedOnce):  # type: ignore[misc]
    """A session with one thread unless told otherwise.

    Threads that spin while they wait for each other take nearly half of the suite's time.
    """

    def __init__(self, model: object, sess_options: Any = None, *more: Any, **named: Any) -> None:
        sess_options = sess_options or onnxruntime.SessionOptions()
        sess_options.intra_op_num_threads = sess_options.intra_op_num_threads or 1
        super().__init__(model, sess_options, *more, **named)


onnxruntime.InferenceSession = OneThread

DATA = Path(__file__).parent / "data"


@pytest.fixture
def any_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be said of the colours of a network that is random."""
    monkeypatch.setattr("runtime.face_work.colours_are_far", lambda *_: False)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Give what fills a folder of that name once for all the processes of the suite, and returns its path."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = root / "once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                make(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of a tiny random network (64×64 crops)."""
    from export.exporter import ExportOptions, export_package

    return once(
        "tiny64", lambda folder: export_package(DATA / "tiny64.pth", folder, ExportOptions(fused=True))
    )


@pytest.fixture(scope="session")
def wide_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of a tiny random network whose styles are wide."""
    from export.exporter import ExportOptions, export_package

    return once(
        "tiny64-wide-styles",
        lambda folder: export_package(DATA / "tiny64-wide-styles.pth", folder, ExportOptions(fused=True)),
    )


@pytest.fixture(scope="session")
def wide_half_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of that network in half precision; the weights of its FP32 islands are stored as FP16 too."""
    from export.__main__ import main

    options = ["--precision", "fp16", "--store", "fp16", "--fused", "--name", "tiny64-wide-styles"]
    return once(
        "tiny64-wide-styles-half",
        lambda folder: main([str(DATA / "tiny64-wide-styles.pth"), "-o", str(folder), *options]),
    )


@pytest.fixture(scope="session")
def static_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of the same network whose graphs take one crop."""
    from export.exporter import ExportOptions, export_package

    return once(
        "tiny64-static",
        lambda folder: export_package(
            DATA / "tiny64.pth", folder, ExportOptions(fused=True, batch=1, name="tiny64")
        ),
    )


@pytest.fixture(scope="session")
def half_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of the same network in half precision."""
    from export.exporter import ExportOptions, export_package

    return once(
        "tiny64-half",
        lambda folder: export_package(
            DATA / "tiny64.pth", folder, ExportOptions(fused=True, precision="fp16", name="tiny64")
        ),
    )


@pytest.fixture(scope="session")
def renewed_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of the same network whose loop encodes the present estimate in each pass."""
    from export.exporter import ExportOptions, export_package

    return once(
        "tiny64-renewed",
        lambda folder: export_package(
            DATA / "tiny64.pth", folder, ExportOptions(loop="renewed", name="tiny64")
        ),
    )


@pytest.fixture(scope="session")
def gfpgan_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package of a tiny random GFPGAN (64×64 crops)."""
    from export.__main__ import main

    checkpoint = str(DATA / "gfpgan64-plain.pth")
    return once("gfpgan64", lambda folder: main([checkpoint, "-o", str(folder)]))


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """A photo with one face, 512×512 RGB (NASA, public domain)."""
    return astronaut()


@pytest.fixture(scope="session")
def portrait_png(portrait: NDArray[np.uint8]) -> bytes:
    """The portrait, blurred so that there is something to restore, encoded once."""
    file = io.BytesIO()
    Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(2)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def portrait_file(portrait_png: bytes, tmp_path: Path) -> Path:
    """The portrait as a lossless file."""
    path = tmp_path / "portrait.png"
    path.write_bytes(portrait_png)
    return path


@pytest.fixture(scope="session")
def photo_package(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A package for the rest of a photo, of small tiles, whose network smooths."""
    return once("photo", _write_photo_package)


def _write_photo_package(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rows, columns, edge = 48, 64, 4
    given = Port("tile", "float32", ("batch", 3, rows + 2 * edge, columns + 2 * edge))
    made = Port("change", "float32", ("batch", 3, rows, columns))
    taps = np.full((3, 1, 9, 9), 0.6 / 81, np.float32)
    taps[:, :, edge, edge] -= 0.6
    graph = helper.make_graph(
        [helper.make_node("Conv", [given.name, "taps"], [made.name], group=3, kernel_shape=[9, 9])],
        PHOTO,
        *(
            [helper.make_tensor_value_info(port.name, TensorProto.FLOAT, port.shape)]
            for port in (given, made)
        ),
        [numpy_helper.from_array(taps, "taps")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir()
    onnx.save(model, folder / "photo.onnx")
    manifest = Manifest(
        name="smooth",
        network={"kind": PHOTO, "overlap": edge},
        size=rows,
        template="published",
        precision="fp32",
        opset=17,
        source=Source("0" * 64, "Apache-2.0"),
        graphs={PHOTO: Graph("photo.onnx", sha256(folder / "photo.onnx"), (given,), (made,))},
    )
    write_manifest(folder, manifest)
