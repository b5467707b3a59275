"""The way of a customer, from the photo to its deletion."""

import errno
import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from base.errors import PhotoError
from runtime.photo.reader import Photo
from runtime.photo.source import PhotoSource
from runtime.prepared import PreparedPhoto
from runtime.serve.kiosk_config import KioskConfig
from runtime.serve.pictures import squares
from runtime.serve.visits import studio
from tests.runtime.serve.conftest import Customer, Server, pixels_of, plain_jpeg

PRESETS = KioskConfig().presets
MORE = ("preset=standard&size=99999", "preset=standard&leave_out=5")


@pytest.fixture
def ready(customer: Customer, portrait_jpeg: bytes) -> Customer:
    assert customer.bring(portrait_jpeg)["state"] == "ready"
    return customer


def test_a_customer_goes_from_photo_to_result_and_nothing_is_left(
    server: Server, customer: Customer, portrait_jpeg: bytes
) -> None:
    status = customer.bring(portrait_jpeg)
    assert status["photo"] == {"number": 1, "width": 512, "height": 512}
    (face,) = status["faces"]
    x, y, radius = face["circle"]
    assert 100 < x < 350
    assert 30 < y < 250
    assert 30 < radius < 200
    assert face["left_alone"] is False

    status = customer.choose("film-scan", strength=0.7)
    result = status["result"]
    assert (result["preset"], result["strength"], result["suffix"]) == ("film-scan", 0.7, ".jpg")
    answer = customer.get("/result/file")
    assert answer.headers["content-disposition"] == 'attachment; filename="photo-restored.jpg"'
    assert len(answer.content) == result["bytes"]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (512, 512)
        assert image.getexif()[0x010E] == "somebody's name"
    assert pixels_of(customer.get("/result", size=128).content).shape == (128, 128, 3)

    assert server.client.delete(customer.path).status_code == 204
    assert customer.get().status_code == 404
    assert server.files == []


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preview_is_the_very_result_and_the_slider_a_straight_line(
    customer: Customer, blurred_file: Path, preset: str
) -> None:
    ready = customer
    ready.bring(blurred_file.read_bytes())
    ready.choose(preset, strength=0.5)
    photo, half, full = (
        pixels_of(ready.get("/preview", preset=preset, strength=strength, size=512).content).astype(float)
        for strength in (0, 0.5, 1)
    )
    result = pixels_of(ready.get("/result", size=512).content).astype(float)
    assert np.abs(full - photo).max() > 8, "the network changes something"
    assert np.abs((photo + full) / 2 - half).mean() < 0.7, "each is rounded, and coded as JPEG"
    assert np.abs(result - half).mean() < 0.2


def test_a_face_that_is_left_out_keeps_the_photo(ready: Customer) -> None:
    photo = ready.get("/photo", size=512).content
    assert ready.get("/preview", preset="standard", leave_out=0, size=512).content == photo
    ready.choose(leave_out=[0])
    assert ready.status()["result"]["leave_out"] == [0]
    shown = pixels_of(ready.get("/result", size=512).content).astype(int)
    assert np.abs(shown - pixels_of(photo)).mean() < 1


def test_each_preset_is_shown_on_a_face_before_it_is_chosen(customer: Customer, blurred_file: Path) -> None:
    customer.bring(blurred_file.read_bytes())
    plain = customer.get("/faces/0", size=320).content
    shown = {preset: customer.get("/faces/0", preset=preset, size=320).content for preset in PRESETS}
    assert len({plain, *shown.values()}) == len(PRESETS) + 1
    with mock.patch.object(PreparedPhoto, "restore", side_effect=AssertionError):
        for preset, face in shown.items():
            assert customer.get("/faces/0", preset=preset, size=320).content == face  # it is kept
            customer.get("/preview", preset=preset, size=512)  # of the only face: it is kept too
    results = {preset: _result_of(customer, preset) for preset in PRESETS}
    for preset, face in shown.items():
        away = {each: np.abs(pixels_of(face).astype(int) - result).mean() for each, result in results.items()}
        assert min(away, key=away.__getitem__) == preset
        assert away[preset] < 2, "one of them is a JPEG"
    assert pixels_of(customer.get("/faces/0", preset="standard", size=64).content).shape == (64, 64, 3)


def _result_of(customer: Customer, preset: str) -> NDArray[np.uint8]:
    """Return the square around the first face of a result."""
    (face,) = customer.choose(preset)["faces"]
    with Image.open(io.BytesIO(customer.get("/result/file").content)) as image:
        (square,) = squares(Photo(np.asarray(image), None, PhotoSource()), [face["box"]])
    return square


@pytest.mark.parametrize(
    ("path", "preset", "status"), [("/faces/0", "no-such", 400), ("/faces/9", "standard", 404)]
)
def test_a_preset_or_face_that_does_not_exist_is_not_shown(
    ready: Customer, path: str, preset: str, status: int
) -> None:
    assert ready.get(path, preset=preset).status_code == status


def test_showing_presets_takes_the_place_of_no_other_customers_photo(
    server: Server, ready: Customer, portrait_jpeg: bytes
) -> None:
    others = [server.customer() for _ in range(KioskConfig().prepared)]
    for other in others:
        other.bring(portrait_jpeg)
    refused = ready.get("/faces/0", preset="standard")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    ready.get("/preview", preset="film-scan", size=512)
    assert ready.get("/faces/0", preset="standard").status_code == 200
    for other in others:
        server.client.delete(other.path)


def test_a_photo_without_a_face_is_given_back_byte_for_byte(customer: Customer) -> None:
    photo = plain_jpeg(120)
    status = customer.bring(photo)
    assert status["faces"] == []
    assert status["remarks"] == [{"code": "no-face", "sentence": "no face found; nothing was restored"}]
    customer.choose()
    assert customer.get("/result/file").content == photo


def test_another_photo_replaces_the_first(ready: Customer) -> None:
    ready.choose()
    status = ready.bring(plain_jpeg(200))
    assert status["photo"] == {"number": 2, "width": 64, "height": 48}
    assert status["result"] is None
    assert ready.get("/result").status_code == 409
    assert pixels_of(ready.get("/photo").content)[0, 0, 0] in range(198, 203)


def test_events_tell_every_stage(server: Server, customer: Customer, portrait_jpeg: bytes) -> None:
    seen: list[tuple[str, str | None]] = []
    names: set[str] = set()
    is_listening = threading.Event()

    def listen() -> None:
        with server.client.stream("GET", f"{customer.path}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    names.add(line[7:])
                elif line.startswith("data: ") and (data := json.loads(line[6:])):
                    seen.append((data["state"], data["stage"]))
                    is_listening.set()

    listener = threading.Thread(target=listen)
    listener.start()
    is_listening.wait(30)
    customer.bring(portrait_jpeg)
    customer.choose()
    server.client.delete(customer.path)
    listener.join(30)
    assert not listener.is_alive()
    assert names - {"alive"} == {"status", "deleted"}
    states = [state for state, _ in seen]
    assert states[0] == "empty"
    assert states[-1] == "ready"
    assert sorted(set(states), key=states.index) in (
        ["empty", "queued", "working", "ready"],
        ["empty", "working", "ready"],
    )


def test_nothing_is_mixed_up_between_customers_at_once(server: Server) -> None:
    shades = [20 + 19 * i for i in range(12)]

    def way_of(shade: int) -> int:
        customer = server.customer()
        photo = plain_jpeg(shade)
        customer.bring(photo)
        customer.choose()
        assert customer.get("/result/file").content == photo
        seen = pixels_of(customer.get("/preview", preset="film-scan", size=64).content)
        server.client.delete(customer.path)
        return int(seen[0, 0, 0])

    with ThreadPoolExecutor(len(shades)) as customers:
        seen = list(customers.map(way_of, shades))
    assert np.abs(np.subtract(seen, shades)).max() <= 2
    assert server.files == []


def test_tokens_have_128_bits_and_open_one_visit_only(server: Server) -> None:
    tokens = [server.customer().visit for _ in range(50)]
    assert len(set(tokens)) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token) for token in tokens)
    for token in tokens:
        assert server.client.delete(f"/api/visits/{token}").status_code == 204


@pytest.mark.parametrize(
    ("path", "json", "status", "code"),
    [
        ("/result", {"preset": "standard"}, 409, "wrong-state"),
        ("/photo-from", {"photo": "../../etc/passwd"}, 404, "not-found"),
        ("/take-home", None, 409, "wrong-state"),
        ("/prints", {"paper": "4x6"}, 503, "no-printer"),
    ],
)
def test_what_cannot_be_done_yet_is_said_in_one_line(
    customer: Customer, path: str, json: object, status: int, code: str
) -> None:
    answer = customer.post(path, json)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert "\n" not in error["message"]
    assert 10 < len(error["message"]) < 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"preset": "no-such"}',
        b'{"preset": "standard", "strength": 1.5}',
        b'{"preset": "standard", "leave_out": [7]}',
        b'{"preset": "standard", "path": "/etc/passwd"}',
        b'{"preset": "standard", "strength": "1"}',
        b"[" * 10_000,
    ],
)
def test_a_wrong_choice_is_refused(ready: Customer, body: bytes) -> None:
    answer = ready.client.post(f"{ready.path}/result", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad-request"
    assert ready.status()["result"] is None


@pytest.mark.parametrize(
    "query",
    ["", "preset=no-such", "preset=standard&strength=nan", "preset=standard&leave_out=x", *MORE],
)
def test_a_wrong_preview_is_refused(ready: Customer, query: str) -> None:
    answer = ready.client.get(f"{ready.path}/preview?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad-request")


def test_a_full_disk_is_reported_without_the_path_of_the_file(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, photo: Photo, *, overwrite: bool) -> None:
        raise PhotoError(f"cannot write {path}: No space left") from OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(studio, "write_photo", full)
    customer.bring(plain_jpeg(140))
    error = customer.choose()["result"]["error"]
    assert error == {
        "code": "disk-full",
        "message": "the photo cannot be kept here (No space left): ask the staff",
    }
