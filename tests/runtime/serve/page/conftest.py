"""A kiosk in a process of its own, and Chromium that looks at it; both are started once."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[4]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IDLE = 600
"""Seconds without a touch until the page asks; tests turn its clock forward."""
PATIENCE = 180_000
"""Milliseconds that a test waits for the page, on a busy machine; then it says what it waited for."""


@dataclass(frozen=True)
class Kiosk:
    """A kiosk that runs."""

    url: str
    folder: Path
    printer: Path
    scans: Path
    process: "subprocess.Popen[bytes]"

    def wait_until_gone(self, visit: str) -> None:
        """Wait until nothing of a customer can be asked for."""
        until = time.monotonic() + PATIENCE / 1000
        while httpx.get(f"{self.url}/api/visits/{visit}", timeout=PATIENCE / 1000).status_code != 404:
            assert time.monotonic() < until, "the visit is still there"
            time.sleep(0.05)


@dataclass
class Watched:
    """What a page did that a customer does not see."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # With a listener, Chromium hands file dialogs over at once.
        self.page.on("filechooser", lambda _: None)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, message: Any) -> None:
        # A preset's picture of a face is given up (409) where the customer goes on before it is made.
        given_up = "/faces/" in message.location["url"] and "409" in message.text
        if message.type in ("error", "warning") and not given_up:
            self.errors.append(message.text)

    def elsewhere(self) -> list[str]:
        """Return the requests that left this machine."""
        return [url for url in self.requests if not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", url)]


@pytest.fixture(scope="session")
def photo_of_three(portrait: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noisy photo of a large face, a small one, and one that is too small to restore, as PNG."""
    noise = np.random.default_rng(0).normal(0, 12, portrait.shape)
    noisy = Image.fromarray(np.uint8(np.clip(portrait + noise, 0, 255))[:400, 20:380])
    photo = Image.new("RGB", (640, 400), (120, 118, 112))
    photo.paste(noisy, (0, 0))
    photo.paste(noisy.resize((180, 200)), (400, 30))
    photo.paste(noisy.resize((80, 89)), (440, 270))
    path = tmp_path_factory.mktemp("photos") / "<img src=x onerror=alert(1)>.png"
    photo.save(path)
    return path


@pytest.fixture(scope="session")
def kiosk(
    photo_of_three: Path, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kiosk]:
    """A kiosk with a tiny model, phones and a printer that is a folder."""
    root = tmp_path_factory.mktemp("kiosk")
    printer, scans, log, settings = (root / name for name in ("printer", "scans", "log", "kiosk.toml"))
    printer.mkdir()
    scans.mkdir()
    (scans / "of-somebody-else.png").write_bytes(photo_of_three.read_bytes())
    os.utime(scans / "of-somebody-else.png", (0, 0))
    settings.write_text(
        f'idle_seconds = {IDLE}\n[phones]\nlisten = "127.0.0.1:0"\n'
        f'[media]\nsticks = []\nscans = ["{scans}"]\n'
        '[printing]\nprinter = "folder"\ncopies = 2\n'
    )
    command = [sys.executable, "-m", "tests.runtime.serve.page.kiosk_process", str(printer)]
    options = ["--folder", str(root / "customers"), "--port", "0", "--kiosk", str(settings)]
    options += ["--model", str(tiny_package), "--backend", "onnxruntime", "--threads", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as out,
        subprocess.Popen(command + options, cwd=ROOT, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            yield Kiosk(_address(process, log), root / "customers", printer, scans, process)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE / 1000)
        finally:
            process.kill()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"the kiosk is at (http://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the kiosk did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("the kiosk's page is not tried: there is no Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as play, play.chromium.launch(executable_path=CHROMIUM) as chromium:
        yield chromium


@pytest.fixture
def screen(browser: Any, kiosk: Kiosk) -> Iterator[Watched]:
    """The kiosk's screen of 1024×600, which can be touched, with its first page."""
    look = {"viewport": {"width": 1024, "height": 600}, "has_touch": True}
    with browser.new_context(**look, reduced_motion="reduce") as context:
        watched = Watched(context.new_page())
        watched.page.goto(kiosk.url)
        yield watched


@pytest.fixture
def phone(browser: Any) -> Iterator[Watched]:
    """A customer's phone."""
    look = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
    with browser.new_context(**look, locale="de-DE", accept_downloads=True) as context:
        yield Watched(context.new_page())
