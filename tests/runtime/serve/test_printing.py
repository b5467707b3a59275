"""Printing: what lands on the paper, and a real CUPS with an IPP Everywhere printer, started here."""

import errno
import io
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from runtime.commands.options import RunOptions
from runtime.hotfolder.log import Log
from runtime.serve.errors import KioskError, ServeError
from runtime.serve.kiosk_config import Paper, Printing
from runtime.serve.opening import opened_kiosk
from runtime.serve.pictures import jpeg_of_file
from runtime.serve.printing import printer as printer_module
from runtime.serve.printing.cups_queue import CupsQueue, QueueState, state_of
from runtime.serve.printing.paper import encoded, on_paper
from runtime.serve.printing.printer import Printer
from runtime.serve.wire import PrinterState, PrintState
from tests.runtime.serve.conftest import LONGEST, Customer, Server, config, plain_jpeg, serving

LETTER = Paper("letter", "na_letter_8.5x11in", 215.9, 279.4)
SMALL = Paper("4x6", "na_index-4x6_4x6in", 101.6, 152.4)
PROGRAMS = ("cupsd", "lpadmin", "ippeveprinter", "dbus-daemon", "avahi-daemon")


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(300, 200, (600, 400)), (200, 300, (400, 600)), (300, 300, (400, 600)), (900, 100, (600, 400))],
)
def test_a_result_fills_the_paper_in_its_own_direction(
    tmp_path: Path, width: int, height: int, expected: tuple[int, int]
) -> None:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    file = tmp_path / "result.png"
    Image.fromarray(np.dstack([x % 256, y % 256, x * 0]).astype(np.uint8)).save(file)
    printed = on_paper(file, SMALL, dpi=100)
    assert printed.size == expected
    red, green, _ = (band.getextrema() for band in printed.split())
    assert isinstance(red[1], int)
    if (width, height) == (300, 200):
        assert red[0] < 3
        assert green[1] > 195, "nothing of a photo of the paper's shape is cut off"


def test_a_grey_result_of_16_bits_is_shown_and_printed_as_it_is(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 300).astype(np.uint16), (200, 1))
    file = tmp_path / "result.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(ramp).save(file, exif=exif)
    printed = np.asarray(on_paper(file, SMALL, dpi=50).convert("L"))
    with Image.open(io.BytesIO(jpeg_of_file(file, 100))) as shown:
        assert shown.mode == "L"
        pictures = (printed, np.asarray(shown))
    for picture in pictures:
        left, middle, right = picture[len(picture) // 2, [0, picture.shape[1] // 2, -1]].tolist()
        assert (left, right) == (pytest.approx(255, abs=5), pytest.approx(0, abs=5))
        assert middle == pytest.approx(128, abs=5)


def test_paper_gets_srgb_on_white_the_right_way_up(tmp_path: Path) -> None:
    file = tmp_path / "result.png"
    Image.new("RGBA", (40, 60), (255, 0, 0, 0)).save(file)
    assert on_paper(file, SMALL, dpi=10).getpixel((5, 5)) == (255, 255, 255)
    turned = tmp_path / "result.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), (9, 9, 9)).save(turned, exif=exif)
    assert on_paper(turned, SMALL, dpi=10).size == (40, 60)
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    Image.new("RGB", (60, 40), (90, 90, 90)).save(turned, icc_profile=other.tobytes())
    assert on_paper(turned, SMALL, dpi=10).mode == "RGB", "a profile that does not fit is left aside"
    with Image.open(io.BytesIO(encoded(on_paper(turned, SMALL)))) as image:
        assert image.info["dpi"] == (300, 300)


@pytest.mark.parametrize(
    ("number", "reasons", "expected"),
    [
        (3, ["none"], "ready"),
        (4, ["none"], "printing"),
        (4, ["media-empty-warning", "media-needed-warning"], "paper-out"),
        (5, ["paused", "media-empty-error"], "paper-out"),
        (5, ["paused"], "stopped"),
        (4, ["cover-open-error"], "open"),
        (4, ["media-jam-error"], "jam"),
        (5, ["marker-supply-empty-error"], "ink-out"),
        (4, ["connecting-to-device"], "printing"),
        (5, ["connecting-to-device"], "offline"),
        (3, ["offline-report"], "offline"),
        (3, ["marker-supply-low-warning", "toner-low-report"], "ready"),
    ],
)
def test_the_printers_reasons_become_one_state(
    number: int, reasons: list[str], expected: PrinterState
) -> None:
    assert state_of(number, reasons) == expected


class RealCups:
    """A cupsd of our own, with one queue `booth` to a printer that we load with paper."""

    def __init__(self, folder: Path, port: int) -> None:
        self.socket, self._port = str(folder / "cups.sock"), port
        self.printed = folder / "printed"

    def load(self, sheets: int) -> None:
        """Put sheets into the printer's tray."""
        tray = f"size1={LETTER.media}&type1=stationery&level1={sheets}"
        rest = "size3=na_number-10_4.125x9.5in&type3=envelope&level3=-2"
        urllib.request.urlopen(f"http://localhost:{self._port}/media?{tray}&{rest}", timeout=LONGEST).read()

    def stop_queue(self) -> None:
        """Stop the queue, as CUPS does when a backend fails."""
        subprocess.run(["cupsdisable", "-h", self.socket, "booth"], check=True, timeout=LONGEST)

    def jobs(self) -> int:
        """Return how many jobs CUPS knows, finished ones too."""
        return len(CupsQueue(self.settings()).left_over())

    def settings(self) -> Printing:
        return Printing("booth", self.socket, copies=3, resume_seconds=1, papers=(LETTER,))


@pytest.fixture(scope="module")
def cups() -> Iterator[RealCups]:
    pytest.importorskip("cups", reason="pycups is not installed: pip install pycups")
    missing = [name for name in PROGRAMS if _found(name) is None]
    if missing:
        pytest.skip(
            f"{', '.join(missing)} not installed: apt-get install cups cups-ipp-utils avahi-daemon dbus"
        )
    if os.geteuid() != 0:
        pytest.skip("cupsd and avahi-daemon are started here only by root")
    folder = Path("/tmp") / f"gpen-edge-cups-{os.getpid()}"  # short, since a socket's path may have 107 bytes
    folder.mkdir()
    try:
        with _running_cups(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_customer_prints_waits_for_paper_and_reprints(
    cups: RealCups, wanted: RunOptions, tmp_path: Path
) -> None:
    settings = config(printing=cups.settings())
    with opened_kiosk(tmp_path / "own", settings, wanted, Log("text")) as kiosk, serving(kiosk) as server:
        cups.load(0)
        customer = server.customer()
        customer.bring(plain_jpeg(140, 300, 200))
        customer.choose()
        preview = customer.get("/print-preview", paper="letter", size=110)
        with Image.open(io.BytesIO(preview.content)) as shown:
            assert shown.size == (110, 85)
        assert customer.post("/prints", {"paper": "letter", "copies": 4}).status_code == 409
        assert customer.post("/prints", {"paper": "a0"}).status_code == 400

        assert customer.post("/prints", {"paper": "letter"}).status_code == 201
        status = customer.wait(lambda status: status["prints"][0]["state"] == "paper-out")
        assert "out of paper" in status["prints"][0]["message"]
        assert server.client.get("/api/printer").json()["state"] == "paper-out"
        cups.load(50)
        customer.wait(lambda status: status["prints"][0]["state"] == "done")
        (printed,) = cups.printed.iterdir()
        with Image.open(printed) as paper:
            assert paper.size == (3300, 2550)
            assert abs(np.asarray(paper.convert("L"))[1000, 1000] - 140.0) <= 2

        cups.stop_queue()
        (first,) = customer.status()["prints"]
        assert customer.post(f"/prints/{first['id']}/again").status_code == 201
        assert customer.post("/prints", {"paper": "letter"}).status_code == 201
        last = customer.status()["prints"][2]
        assert last["state"] == "waiting", "one job at a time"
        assert customer.post("/prints", {"paper": "letter"}).json()["error"]["code"] == "wrong-state"
        answer = server.client.delete(f"{customer.path}/prints/{last['id']}")
        assert answer.status_code == 200
        customer.wait(lambda status: status["prints"][2]["state"] == "cancelled")
        customer.wait(lambda status: status["prints"][1]["state"] in ("printing", "done"))
        server.client.delete(customer.path)
        _wait(lambda: server.client.get("/api/printer").json()["waiting"] == 0)
        _wait(lambda: cups.jobs() == 0)  # CUPS keeps no picture
        assert server.files == []


def test_what_cups_cannot_do_is_said_at_the_start(cups: RealCups) -> None:
    with pytest.raises(ServeError, match="CUPS has no printer 'boot'; there are: booth"):
        CupsQueue(Printing("boot", cups.socket))
    with pytest.raises(ServeError, match="CUPS does not answer"):
        CupsQueue(Printing("booth", cups.socket + "x"))


def test_without_a_printer_the_page_says_so(server: Server) -> None:
    assert server.client.get("/api/printer").json() == {
        "state": "none",
        "message": "there is no printer",
        "waiting": 0,
    }


class Moody:
    """A queue that fails in an unknown way at first, and then prints at once."""

    def __init__(self) -> None:
        self.fails = 2

    def state(self) -> QueueState:
        self.fails -= 1
        if self.fails >= 0:
            raise KeyError("printer-state")
        return QueueState("ready", False)

    def print(self, file: Path, media: str, copies: int) -> int:
        return 1

    def job(self, number: int) -> PrintState:
        return "done"

    def resume(self) -> None: ...
    def purge(self, numbers: list[int]) -> None: ...
    def left_over(self) -> list[int]:
        return []


@contextmanager
def filling_the_disk(path: Path, *arguments: object, **options: object) -> Iterator[io.BytesIO]:
    """Leave half a file, as a full disk does."""
    path.write_bytes(b"half")
    yield io.BytesIO()
    raise OSError(errno.ENOSPC, "No space left on device")


def test_printing_goes_on_whatever_the_queue_and_the_disk_have_done(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = server.kiosk.desk
    customer.bring(plain_jpeg(140))
    customer.choose()
    visit = desk.visit(customer.visit)
    printer = Printer(Moody(), Printing("booth", papers=(SMALL,)), desk, Log("text"))
    with monkeypatch.context() as full:
        full.setattr(printer_module, "open", filling_the_disk, raising=False)
        with pytest.raises(KioskError, match="No space left on device"):
            printer.add(visit, "4x6", 1)
    assert visit.prints == ()
    assert not any(name.startswith("prints/") for name in server.files)
    printer.add(visit, "4x6", 1)
    printer.start()
    customer.wait(lambda status: status["prints"][0]["state"] == "done")
    printer.close()


def test_whoever_presses_print_many_times_at_once_gets_no_more_copies_than_allowed(
    server: Server, customer: Customer
) -> None:
    desk = server.kiosk.desk
    customer.bring(plain_jpeg(140))
    customer.choose()
    visit = desk.visit(customer.visit)
    printer = Printer(Moody(), Printing("booth", papers=(SMALL,), copies=2), desk, Log("text"))
    together = threading.Barrier(6)

    def press(_: int) -> str:
        together.wait(LONGEST)
        try:
            printer.add(visit, "4x6", 1)
        except KioskError as error:
            return error.code
        return "added"

    with ThreadPoolExecutor(6) as fingers:
        answers = sorted(fingers.map(press, range(6)))
    assert answers == ["added"] * 2 + ["wrong-state"] * 4
    assert (visit.copies, len(visit.prints), printer.about().waiting) == (2, 2, 2)


def test_a_printer_that_is_gone_is_asked_no_more_often_because_somebody_wants_to_resume_it(
    server: Server,
) -> None:
    asked = []

    class Gone(Moody):
        def state(self) -> QueueState:
            asked.append(time.monotonic())
            raise KioskError("printer", "the printer does not answer")

    printer = Printer(Gone(), Printing("booth", papers=(SMALL,)), server.kiosk.desk, Log("text"))
    printer.start()
    _wait(lambda: bool(asked))
    printer.resume()
    time.sleep(0.5)
    printer.close()
    assert len(asked) <= 3


def test_a_print_server_that_hangs_does_not_keep_the_kiosk_from_ending(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers, hangs, has_answered = threading.Event(), threading.Event(), threading.Event()

    class Hanging(Moody):
        def state(self) -> QueueState:
            hangs.set()
            answers.wait(LONGEST)
            has_answered.set()
            return super().state()

    monkeypatch.setattr(printer_module, "_ENDING", 0.05)
    printer = Printer(Hanging(), Printing("booth", papers=(SMALL,)), server.kiosk.desk, Log("text"))
    printer.start()
    assert hangs.wait(LONGEST)
    try:
        printer.close()
        assert not has_answered.is_set()
    finally:
        answers.set()
    assert "CUPS does not answer" in capsys.readouterr().err


def test_a_wish_to_resume_is_kept_until_the_printer_answers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(Moody):
        resumed = 0

        def resume(self) -> None:
            self.resumed += 1

    monkeypatch.setattr(printer_module, "_LOOK", 0.05)
    queue = Away()
    queue.fails = 5
    printer = Printer(queue, Printing("booth", papers=(SMALL,)), server.kiosk.desk, Log("text"))
    printer.resume()
    printer.start()
    _wait(lambda: queue.fails < -2)
    printer.close()
    assert queue.resumed == 1


@contextmanager
def _running_cups(folder: Path) -> Iterator[RealCups]:
    """Start a bus, Avahi, a printer that is a program, and cupsd; all in one folder, and end them."""
    for name in ("cache", "spool/tmp", "run/certs", "log", "ppd", "printed"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    for place in [folder, *folder.rglob("*")]:
        shutil.chown(place, "root", "lp")
        place.chmod(0o775)
    (folder / "bus.conf").write_text(_BUS.format(folder=folder))
    (folder / "avahi.conf").write_text(_AVAHI)
    (folder / "cups-files.conf").write_text(_FILES.format(folder=folder))
    (folder / "cupsd.conf").write_text(_CUPSD.format(folder=folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = RealCups(folder, port)
    environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus"}
    commands: dict[str, list[str]] = {
        "dbus-daemon": [f"--config-file={folder}/bus.conf", "--nofork"],
        "avahi-daemon": ["-f", f"{folder}/avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits"],
        "ippeveprinter": [
            *f"-p {port} -d {folder}/printed -k -f image/jpeg,image/pwg-raster -r off".split(),
            "Booth",
        ],
        "cupsd": ["-f", "-c", f"{folder}/cupsd.conf", "-s", f"{folder}/cups-files.conf"],
    }
    ready: dict[str, Callable[[], bool]] = {
        "dbus-daemon": (folder / "bus").exists,
        "avahi-daemon": lambda: "startup complete" in (folder / "avahi-daemon.out").read_text(),
        "ippeveprinter": lambda: _answers(port),
        "cupsd": (folder / "cups.sock").exists,
    }
    with ExitStack() as stack:
        for name, arguments in commands.items():
            output = stack.enter_context((folder / f"{name}.out").open("w"))
            process = subprocess.Popen(
                [str(_found(name)), *arguments], stdout=output, stderr=output, env=environment
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            ends = time.monotonic() + 60
            while not ready[name]():
                if process.poll() is not None or time.monotonic() > ends:
                    said = (folder / f"{name}.out").read_text()[-300:]
                    pytest.skip(f"{name} does not start here: {said}")
                time.sleep(0.05)
        queue = ["-h", found.socket, "-p", "booth", "-E", "-v", f"ipp://localhost:{port}/ipp/print"]
        subprocess.run([str(_found("lpadmin")), *queue, "-m", "everywhere"], check=True, timeout=LONGEST)
        _wait((folder / "ppd" / "booth.ppd").exists)
        yield found


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


_BUS = """<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>"""
_AVAHI = """[server]
use-ipv4=yes
use-ipv6=no
allow-interfaces=lo
[publish]
publish-hinfo=no
publish-workstation=no
"""
_FILES = """ServerRoot {folder}
CacheDir {folder}/cache
RequestRoot {folder}/spool
TempDir {folder}/spool/tmp
StateDir {folder}/run
AccessLog {folder}/log/access
ErrorLog {folder}/log/error
PageLog {folder}/log/page
Printcap
SystemGroup root lpadmin
"""
_CUPSD = """Listen {folder}/cups.sock
BrowseLocalProtocols none
Browsing Off
WebInterface No
DefaultAuthType None
<Location />
  Order allow,deny
  Allow all
</Location>
<Policy default>
  JobPrivateAccess all
  JobPrivateValues none
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
