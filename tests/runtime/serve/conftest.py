"""A kiosk's server on loopback, with a tiny network, and what a customer does with it."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.commands.options import RunOptions, run_options
from runtime.hotfolder.log import Log
from runtime.serve.command import parser
from runtime.serve.http.kiosk import Kiosk
from runtime.serve.kiosk_config import KioskConfig, Media, Phones
from runtime.serve.opening import opened_kiosk
from runtime.serve.server import KioskServer, listen

LONGEST = 180.0
"""Seconds that a test waits for anything; nothing takes as long, however busy the machine."""


class Customer:
    """A visit, seen from the page."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.visit = client.post("/api/visits").json()["visit"]
        self.path = f"/api/visits/{self.visit}"

    def get(self, path: str = "", **query: object) -> httpx.Response:
        return self.client.get(self.path + path, params={k: str(v) for k, v in query.items()})

    def post(self, path: str, json: object = None, **options: Any) -> httpx.Response:
        return self.client.post(self.path + path, json=json, **options)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get().json()
        return answer

    def bring(self, photo: bytes) -> dict[str, Any]:
        """Upload a photo, and wait until it is ready or has failed."""
        answer = self.client.post(self.path + "/photo", content=photo)
        assert answer.status_code == 202, answer.text
        return self.wait(lambda status: status["state"] in ("ready", "failed"))

    def choose(self, preset: str = "standard", **more: object) -> dict[str, Any]:
        """Ask for a result, and wait until it is done or has failed."""
        answer = self.post("/result", {"preset": preset, **more})
        assert answer.status_code == 202, answer.text
        return self.wait(lambda status: status["result"]["state"] in ("done", "failed"))

    def wait(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        ends = time.monotonic() + LONGEST
        while not until(status := self.status()):
            assert time.monotonic() < ends, status
            time.sleep(0.02)
        return status


class Server:
    """A running server, and how to reach its two listeners."""

    def __init__(self, kiosk: Kiosk, port: int, phone_port: int) -> None:
        self.kiosk, self.port, self.phone_port = kiosk, port, phone_port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST)
        self.phones = httpx.Client(base_url=f"http://127.0.0.1:{phone_port}", timeout=LONGEST)

    def customer(self) -> Customer:
        return Customer(self.client)

    @property
    def files(self) -> list[str]:
        """The customers' files in the server's folder."""
        folder = self.kiosk.desk.folder.folder
        below = (path for name in ("visits", "takes", "prints") for path in (folder / name).rglob("*"))
        return sorted(path.relative_to(folder).as_posix() for path in below)


@contextmanager
def serving(kiosk: Kiosk) -> Iterator[Server]:
    """Serve in a thread."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(listen("127.0.0.1", 0))) for _ in range(2)]
        port, phone_port = (listener.getsockname()[1] for listener in listeners)
        kiosk.desk.links.address = lambda: f"http://127.0.0.1:{phone_port}"
        server = KioskServer(kiosk, listeners)
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        found = Server(kiosk, port, phone_port)
        stack.callback(thread.join, LONGEST)
        stack.callback(server.stop)
        stack.callback(found.client.close)
        stack.callback(found.phones.close)
        yield found


def config(**changes: Any) -> KioskConfig:
    """Return settings of a kiosk without media, and with phones."""
    usual: dict[str, Any] = {"media": Media(sticks=()), "phones": Phones(), "max_megabytes": 2.0}
    return msgspec.structs.replace(KioskConfig(), **(usual | changes))


@pytest.fixture(scope="module")
def wanted(tiny_package: Path) -> RunOptions:
    """The tiny package on one thread."""
    arguments = ["--model", str(tiny_package), "--threads", "1", "--backend", "onnxruntime"]
    return run_options(parser().parse_args(arguments))


@pytest.fixture(scope="module")
def server(wanted: RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests of a module share."""
    folder = tmp_path_factory.mktemp("kiosk") / "own"
    with opened_kiosk(folder, config(), wanted, Log("text")) as kiosk, serving(kiosk) as found:
        yield found


@pytest.fixture
def customer(server: Server) -> Iterator[Customer]:
    """A new customer, who leaves at the end."""
    found = server.customer()
    yield found
    found.client.delete(found.path)


@pytest.fixture(scope="session")
def portrait_jpeg(portrait: NDArray[np.uint8]) -> bytes:
    """The portrait as a JPEG with a face, and with EXIF."""
    exif = Image.Exif()
    exif[0x010E] = "somebody's name"
    return jpeg_of(portrait, exif=exif)


def jpeg_of(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    """Return a photo as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def plain_jpeg(shade: int, width: int = 64, height: int = 48) -> bytes:
    """Return a photo of one colour, without a face."""
    return jpeg_of(np.full((height, width, 3), shade, np.uint8))


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a picture."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
