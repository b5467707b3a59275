"""Hostile uploads, requests and sticks: one clear answer each, and nothing written anywhere else."""

import asyncio
import errno
import io
import os
import random
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
import pytest
from starlette.types import ASGIApp

from runtime.photo.reader import read_photo
from runtime.serve import kiosk_config
from runtime.serve.errors import KioskError
from runtime.serve.http import uploads
from runtime.serve.http.app import kiosk_app
from runtime.serve.http.guard import HEADERS
from runtime.serve.http.limits import NEW_VISITS, PHONE, WRONG_TOKEN, Limits, Rate
from runtime.serve.media import _FRESH, Media
from runtime.serve.server import are_too_many, names_of
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.pictures import pictures
from tests.runtime.serve.conftest import LONGEST, Customer, Server, jpeg_of, plain_jpeg


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error, once it is one line of JSON."""
    error = answer.json()["error"]
    assert error["message"].isprintable(), error
    assert len(error["message"]) < 300
    return answer.status_code, error["code"]


def test_malformed_pictures_get_one_line_each(server: Server, customer: Customer) -> None:
    rng = random.Random(7)
    files = [b"<html><script>alert(1)</script>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", os.urandom(4000)]
    for content in pictures().values():
        files.append(rng.choice(MUTATIONS)(content, rng))
    for content in files:
        status = customer.bring(content)
        if status["state"] == "failed":
            assert status["error"]["code"] == "not-a-photo", status
            assert status["error"]["message"].isprintable()
            assert customer.get("/photo").status_code == 409
        else:
            read_photo(content)
    assert server.files == [f"visits/{server.files[0].split('/')[1]}", server.files[1]]
    assert server.files[1].endswith("/photo")


def test_an_announced_flood_is_refused_before_it_is_read(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "DRAIN", 0.1)
    answer = ask(server.port, "POST", f"{customer.path}/photo", "Content-Length: 2000000000\r\n", b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"more than 2 megabytes" in answer


def test_an_endless_stream_is_refused_at_the_limit(server: Server, customer: Customer) -> None:
    sent = 0

    def flood() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(60):
            sent += 100_000
            yield bytes(100_000)

    answer = customer.client.post(f"{customer.path}/photo", content=flood())
    assert error_of(answer) == (413, "too-large")
    assert server.files == [f"visits/{server.files[0].split('/')[1]}"]
    assert customer.bring(plain_jpeg(9))["state"] == "ready"


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "5, 6"])
def test_a_length_that_is_none_is_refused(server: Server, customer: Customer, length: str) -> None:
    answer = ask(server.port, "POST", f"{customer.path}/photo", f"Content-Length: {length}\r\n", b"12345")
    assert answer.startswith(b"HTTP/1.1 400")


def test_an_upload_that_is_cut_off_leaves_nothing(server: Server, customer: Customer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head("POST", f"{customer.path}/photo", "Content-Length: 5000\r\n") + b"x" * 100)
        wait_for(lambda: any("upload" in name for name in server.files))
    wait_for(lambda: not any("upload" in name for name in server.files))
    assert customer.status()["state"] == "empty"


def test_an_empty_file_is_no_photo(customer: Customer) -> None:
    answer = customer.client.post(customer.path + "/photo", content=b"")
    assert error_of(answer) == (422, "not-a-photo")
    assert customer.status()["state"] == "empty"


def test_an_upload_that_stalls_is_given_up(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SILENCE", 0.2)
    monkeypatch.setattr(uploads, "DRAIN", 0.1)
    answer = ask(server.port, "POST", f"{customer.path}/photo", "Content-Length: 5000\r\n", b"x" * 100)
    assert answer.startswith(b"HTTP/1.1 408")
    assert not any("upload" in name for name in server.files)


def test_an_upload_that_drips_is_given_up(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "GRACE", 0.2)
    monkeypatch.setattr(uploads, "DRAIN", 0.1)

    def drip() -> Iterator[bytes]:
        for _ in range(20):
            time.sleep(0.05)
            yield b"x"

    assert error_of(customer.client.post(f"{customer.path}/photo", content=drip())) == (408, "too-slow")


def test_an_upload_ends_with_its_visit(server: Server, customer: Customer) -> None:
    def photo() -> Iterator[bytes]:
        yield b"x"
        wait_for(lambda: any("upload" in name for name in server.files))
        server.kiosk.desk.end(server.kiosk.desk.visit(customer.visit))
        for _ in range(20):
            time.sleep(0.01)
            yield b"x"

    assert error_of(customer.client.post(f"{customer.path}/photo", content=photo())) == (404, "not-found")
    assert server.files == []


@pytest.mark.parametrize(
    "path",
    [
        "/page/../../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/page//etc/passwd",
        "/page/..%2f..%2fserver.py",
        "/page/%00",
        "/api/visits/../../etc/passwd",
        "/api/visits/%2e%2e%2f%2e%2e%2fetc",
        "/api/visits/" + "a" * 22,
        "/api/media/..%2f..%2fetc?page=0",
        "/api/media/photos/..%2f..%2fetc%2fpasswd/thumbnail",
        "/p/..%2f..%2fetc/status/x",
        "/t/" + "A" * 22 + "/file",
        "/nothing",
    ],
)
def test_no_path_from_outside_is_used_as_a_path(server: Server, path: str) -> None:
    answer = ask(server.port, "GET", path)
    assert answer.startswith(b"HTTP/1.1 404"), answer
    assert b"root:" not in answer


def test_names_are_neither_wanted_nor_kept(server: Server, customer: Customer) -> None:
    headers = {
        "content-disposition": 'attachment; filename="../<img onerror=x>.jpg"',
        "x-file-name": "/etc/x",
    }
    answer = customer.client.post(f"{customer.path}/photo", content=plain_jpeg(5), headers=headers)
    assert answer.status_code == 202
    assert "img" not in answer.text
    assert all("img" not in name for name in server.files)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8080", ""])
def test_the_kiosks_page_answers_to_this_machines_names_only(server: Server, host: str) -> None:
    answer = ask(server.port, "GET", "/api/kiosk", host=host)
    assert answer.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "header",
    [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ],
)
def test_another_site_in_the_kiosks_browser_changes_nothing(server: Server, header: str) -> None:
    before = server.kiosk.desk.visits
    assert ask(server.port, "POST", "/api/visits", header).startswith(b"HTTP/1.1 403")
    assert server.kiosk.desk.visits == before


@pytest.mark.parametrize("path", ["/", "/api", "/api/kiosk", "/health", "/nothing", "/admin"])
def test_every_answer_is_protected(server: Server, path: str) -> None:
    answer = server.client.get(path)
    assert HEADERS.items() <= dict(answer.headers).items()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in answer.headers


def test_phones_reach_nothing_but_their_own_pages(server: Server) -> None:
    visit = server.customer()
    for path in ("/", "/api", "/api/kiosk", "/admin", visit.path, f"{visit.path}/photo", "/api/media"):
        assert server.phones.get(path).status_code == 404, path
    assert server.phones.post("/api/visits").status_code == 404
    assert server.phones.get("/health").status_code == 200
    server.client.delete(visit.path)


def test_a_client_that_asks_too_often_has_to_wait() -> None:
    now = 0.0
    limits = Limits(lambda: now)
    for _ in range(3):
        limits.spend(Rate(3, 0.5), "10.0.0.1")
    with pytest.raises(KioskError, match="too many requests: try again in 2 seconds"):
        limits.spend(Rate(3, 0.5), "10.0.0.1")
    limits.spend(Rate(3, 0.5), "10.0.0.2")
    now = 2.0
    limits.spend(Rate(3, 0.5), "10.0.0.1")
    with pytest.raises(KioskError):
        limits.spend(Rate(3, 0.5), "10.0.0.1")


def test_the_hosts_of_one_ipv6_network_are_one_client() -> None:
    limits = Limits(lambda: 0.0)
    limits.spend(Rate(1, 1), "2001:db8::1")
    with pytest.raises(KioskError):
        limits.spend(Rate(1, 1), "2001:db8::2")
    limits.spend(Rate(1, 1), "2001:db8:0:1::1")


def test_a_phone_that_guesses_tokens_is_stopped(server: Server) -> None:
    server.kiosk.limits.forget()
    answers = [server.phones.get(f"/t/{i:022d}/status") for i in range(int(WRONG_TOKEN.burst) + 3)]
    assert [answer.status_code for answer in answers[: int(WRONG_TOKEN.burst)]] == [200] * 10
    assert error_of(answers[-1]) == (429, "too-many")
    assert int(answers[-1].headers["retry-after"]) > 0
    server.kiosk.limits.forget()
    assert WRONG_TOKEN.per_second < PHONE.per_second < NEW_VISITS.per_second


def test_a_hostile_stick_shows_nothing_but_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(plain_jpeg(1))
    stick = tmp_path / "media" / "<b>STICK\n"
    (stick / "DCIM").mkdir(parents=True)
    (stick / "DCIM" / "ok.jpg").write_bytes(plain_jpeg(2))
    (stick / "link.jpg").symlink_to(secret)
    (stick / "folder").symlink_to(tmp_path)
    os.mkfifo(stick / "pipe.jpg")
    (stick / "notes.txt").write_text("x")
    media = Media(
        kiosk_config.Media(sticks=(tmp_path / "media",)),
        max_megabytes=1,
        max_megapixels=1,
        mounts=lambda: {stick},
    )
    (medium,) = media.about().media
    assert (medium.kind, medium.photos) == ("stick", 1)
    assert medium.label.isprintable()
    (photo,) = media.photos(medium.id, 0).photos
    assert media.thumbnail(photo.id, 64)[:2] == b"\xff\xd8"
    media.copy(photo.id, tmp_path / "draft")
    assert (tmp_path / "draft").read_bytes() == plain_jpeg(2)
    # A photo that turns into a link after it was listed is not followed either.
    (stick / "DCIM" / "ok.jpg").unlink()
    (stick / "DCIM" / "ok.jpg").symlink_to(secret)
    with pytest.raises(KioskError):
        media.thumbnail(photo.id, 64)
    (stick / "DCIM").rename(stick / "elsewhere")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "ok.jpg").write_bytes(plain_jpeg(3))
    (stick / "DCIM").symlink_to(tmp_path / "outside")
    with pytest.raises(KioskError):
        media.thumbnail(photo.id, 64)


def test_a_stick_that_does_not_answer_keeps_nobody_else_waiting(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def places() -> Iterator[tuple[Path, Literal["stick", "scans"]]]:
        answers.wait(LONGEST)
        yield from ()

    monkeypatch.setattr(server.kiosk.media, "_places", places)
    with ThreadPoolExecutor(50) as pages:
        asked = [pages.submit(server.client.get, "/api/media") for _ in range(50)]  # more than threads
        try:
            assert customer.bring(plain_jpeg(90))["state"] == "ready"
            other = server.customer()
            assert other.client.delete(other.path).status_code == 204
        finally:
            answers.set()
        assert {one.result(LONGEST).json()["media"] == [] for one in asked} == {True}


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a file system without a limit on times")
def test_a_photo_whose_time_no_calendar_has_is_shown_without_one() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as stick:
        photo = Path(stick, "photo.jpg")
        photo.write_bytes(plain_jpeg(1))
        os.utime(photo, (1e13, 1e13))
        folders = kiosk_config.Media(sticks=(Path(stick).parent,), scans=())
        media = Media(folders, max_megabytes=1, max_megapixels=1, mounts=lambda: {Path(stick)})
        (found,) = media.photos(media.about().media[0].id, 0).photos
        assert found.taken is None


def test_a_customer_sees_the_own_scans_only_whatever_the_clock_says(tmp_path: Path) -> None:
    now, began = 1000.0, float("inf")
    media = Media(
        kiosk_config.Media(sticks=(), scans=(tmp_path,), delete_scans=True),
        max_megabytes=1,
        max_megapixels=1,
        since=lambda: began,
        clock=lambda: now,
    )

    def scan(name: str, offset: float) -> None:
        (tmp_path / name).write_bytes(plain_jpeg(len(name)))
        os.utime(tmp_path / name, (time.time() + offset,) * 2)

    scan("earlier.jpg", +3600)  # the clock has been set back since
    media.look()
    now = began = 1060.0
    media.look()
    now = 1080.0
    scan("own.jpg", -3600)  # and the scanner's own clock is slow
    media.look()
    (medium,) = media.about().media
    assert (medium.kind, medium.photos) == ("scans", 1)
    (photo,) = media.photos(medium.id, 0).photos
    media.thumbnail(photo.id, 64)
    began = 1090.0  # the next customer has come, and still knows the photo's number
    assert media.photos(medium.id, 0).photos == ()
    with pytest.raises(KioskError, match="another customer's"):
        media.thumbnail(photo.id, 64)
    now = 1150.0
    media.tidy(100)
    assert [path.name for path in tmp_path.iterdir()] == ["own.jpg"]


def test_scans_on_a_drive_that_was_away_are_shown_to_nobody(tmp_path: Path) -> None:
    drive, away, now, began = tmp_path / "drive", tmp_path / "away", 1000.0, float("inf")
    drive.mkdir()
    (drive / "earlier.jpg").write_bytes(plain_jpeg(1))
    media = Media(
        kiosk_config.Media(sticks=(), scans=(drive,), delete_scans=True),
        max_megabytes=1,
        max_megapixels=1,
        since=lambda: began,
        clock=lambda: now,
    )
    began = now = 1010.0
    drive.rename(away)
    media.tidy(100)
    (away / "meanwhile.jpg").write_bytes(plain_jpeg(2))
    now = 1020.0
    away.rename(drive)
    media.tidy(100)
    (medium,) = media.about().media
    assert medium.photos == 0
    (drive / "own.jpg").write_bytes(plain_jpeg(3))
    media.tidy(100)
    time.sleep(_FRESH)
    (medium,) = media.about().media
    assert medium.photos == 1
    now = 1120.0
    media.tidy(100)
    assert list(drive.iterdir()) == []


def test_a_scan_that_cannot_be_deleted_does_not_keep_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
        (folder / "scan.jpg").write_bytes(plain_jpeg(1))
    config = kiosk_config.Media(sticks=(), scans=folders, delete_scans=True)
    media, unlink = Media(config, max_megabytes=1, max_megapixels=1), Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.parent == folders[0]:
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(OSError, match="Read-only"):
        media.tidy(-1)
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 0]


def head(method: str, path: str, headers: str = "", host: str = "127.0.0.1") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n".encode()


def ask(
    port: int, method: str, path: str, headers: str = "", body: bytes = b"", host: str = "127.0.0.1"
) -> bytes:
    """Send a request as it is, without a client's good manners; return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as connection:
        connection.sendall(head(method, path, headers, host) + body)
        answer = io.BytesIO()
        while chunk := connection.recv(65536):
            answer.write(chunk)
    return answer.getvalue()


def wait_for(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /health HTTP/1.1\r\nX-Slow: "),
        (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
    ],
    ids=["first request", "second request", "body that nobody reads"],
)
def test_a_connection_over_which_no_request_comes_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes
) -> None:
    monkeypatch.setattr("runtime.serve.server.FIRST_REQUEST", 0.2)
    monkeypatch.setattr(uploads, "DRAIN", 0.1)
    with socket.create_connection(("127.0.0.1", server.phone_port), timeout=LONGEST) as connection:
        connection.sendall(first)
        while first and b"}" not in connection.recv(65536):
            pass
        connection.sendall(then)
        assert connection.recv(100) == b""
    monkeypatch.undo()
    assert server.client.get("/health").status_code == 200


def test_a_client_that_does_not_take_its_answer_is_left(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.serve.server.STALLED", 0.2)
    noise = np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8)
    customer.bring(jpeg_of(noise))
    asked = f"GET {customer.path}/photo?size=900 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(10 * asked)
        poll = select.poll()
        poll.register(connection, 0)  # nothing but the end of the connection
        wait_for(lambda: bool(poll.poll(0)))


def test_one_phone_does_not_take_the_place_of_all_others() -> None:
    phone, other, here = ("10.0.0.1", 1), ("10.0.0.2", 1), ("127.0.0.1", 1)
    assert not are_too_many(phone, [phone] * 39 + [other] * 100)
    assert are_too_many(phone, [phone] * 40)
    assert not are_too_many(here, [here] * 300)
    assert are_too_many(other, [phone, here] * 200)


@pytest.mark.parametrize(
    ("host", "asked", "answered"),
    [
        ("0.0.0.0", "192.168.4.1:8080", True),
        ("::", "[fd00::5]:8080", True),
        ("0.0.0.0", "kiosk.evil.example:8080", False),
        ("fd00::5", "[fd00::5]:8080", True),
        ("fd00::5", "[fd00::6]:8080", False),
        ("Kiosk.local", "kiosk.local", True),
        ("127.0.0.1", "192.168.4.1", False),
        ("0.0.0.0", "localhost:8080", True),
    ],
)
def test_a_site_cannot_lend_its_name_to_the_kiosk(
    server: Server, host: str, asked: str, answered: bool
) -> None:
    """DNS rebinding: a site that is open in the kiosk's browser lets its own name point to this machine."""
    app = kiosk_app(replace(server.kiosk, hosts=names_of(host)))
    with httpx.Client(transport=Directly(app), base_url="http://kiosk") as client:
        assert client.get("/api/kiosk", headers={"host": asked}).status_code == (200 if answered else 403)


class Directly(httpx.BaseTransport):
    """Asks an application without a network."""

    def __init__(self, app: ASGIApp) -> None:
        self._transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._transport.handle_async_request(request)
            return httpx.Response(answer.status_code, content=await answer.aread())

        with ThreadPoolExecutor(1) as apart:  # pytest's thread may already run an event loop
            return apart.submit(asyncio.run, ask()).result()
