"""A phone uploads with a code and takes a result home; the operator's page and the box's own routes."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from base.command_line import BAD_INPUT
from base.errors import SettingsError, WatchError
from runtime.commands.options import RunOptions
from runtime.hotfolder.log import Log
from runtime.hotfolder.watcher import Watcher
from runtime.serve import hot_folder
from runtime.serve.command import main
from runtime.serve.http.app import API
from runtime.serve.http.openapi import openapi
from runtime.serve.kiosk_config import Admin, HotFolder, KioskConfig, read_kiosk_config, read_password
from runtime.serve.opening import opened_kiosk
from runtime.serve.qr import qr_svg
from runtime.serve.server import phone_url
from tests.runtime.serve.conftest import Customer, Server, config, plain_jpeg, serving
from tests.runtime.serve.test_hostile import wait_for

ROOT = Path(__file__).parents[3]


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_phone_uploads_once_with_its_code(server: Server, customer: Customer) -> None:
    link = customer.post("/phone").json()
    assert link["url"].startswith(f"http://127.0.0.1:{server.phone_port}/p/")
    token = token_of(link["url"])
    assert server.phones.get(f"/p/{token}/status").json()["state"] == "open"
    assert server.phones.post(f"/p/{token}/photo", content=b"").status_code == 422
    assert server.phones.get(f"/p/{token}/status").json()["state"] == "open", (
        "a failed upload may be repeated"
    )

    answer = server.phones.post(f"/p/{token}/photo", content=plain_jpeg(50))
    assert (answer.status_code, answer.json()) == (201, {"state": "used"})
    status = customer.wait(lambda status: status["state"] == "ready")
    assert status["phone"]["used"] is True
    again = server.phones.post(f"/p/{token}/photo", content=plain_jpeg(60))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "wrong-state")
    assert customer.status()["photo"]["number"] == 1


def test_a_new_code_ends_the_old_one_and_so_does_the_visit(server: Server) -> None:
    customer = server.customer()
    first, second = (token_of(customer.post("/phone").json()["url"]) for _ in range(2))
    assert server.phones.get(f"/p/{first}/status").json()["state"] == "gone"
    assert server.phones.get(f"/p/{second}/status").json()["state"] == "open"
    server.client.delete(customer.path)
    assert server.phones.post(f"/p/{second}/photo", content=plain_jpeg(1)).status_code == 404


def test_a_result_is_taken_home_until_everything_is_deleted(server: Server, customer: Customer) -> None:
    photo = plain_jpeg(90)
    customer.bring(photo)
    customer.choose()
    link = customer.post("/take-home").json()
    token = token_of(link["url"])
    assert token not in (customer.visit, token_of(customer.post("/phone").json()["url"]))
    about = server.phones.get(f"/t/{token}/status").json()
    assert (about["state"], about["width"], about["bytes"]) == ("open", 64, len(photo))
    answer = server.phones.get(f"/t/{token}/file")
    assert answer.content == photo
    assert answer.headers["content-disposition"] == 'attachment; filename="photo-restored.jpg"'
    assert server.phones.get(f"/t/{token}/picture?size=64").headers["content-type"] == "image/jpeg"

    assert server.client.delete(f"{customer.path}?keep=take-home").status_code == 204
    assert server.phones.get(f"/t/{token}/file").content == photo
    server.kiosk.desk.end_all()
    assert server.phones.get(f"/t/{token}/status").json()["state"] == "gone"
    assert server.phones.get(f"/t/{token}/file").status_code == 404
    assert server.files == []


def test_a_visits_token_opens_no_phones_page(server: Server, customer: Customer) -> None:
    server.kiosk.limits.forget()
    assert server.phones.get(f"/p/{customer.visit}/status").json()["state"] == "gone"
    assert server.phones.get(f"/t/{customer.visit}/file").status_code == 404


def test_a_code_holds_its_address(server: Server, customer: Customer) -> None:
    link = customer.post("/phone").json()
    answer = server.client.get(link["qr"])
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == qr_svg(link["url"])
    modules = modules_of(answer.content)
    cv2 = pytest.importorskip("cv2")
    detector = cv2.QRCodeDetectorAruco()  # OpenCV's older one misses one code in thirty
    text, *_ = detector.detectAndDecode(np.kron(modules, np.ones((8, 8), np.uint8)))
    assert text == link["url"]


def modules_of(svg: bytes) -> np.ndarray:
    """Draw the path of a QR code as segno writes it: horizontal strokes of one module."""
    root = ElementTree.fromstring(svg)
    side = round(float(root.attrib["width"]) / 8)
    picture = np.full((side, side), 255, np.uint8)
    path = list(root.iter("{http://www.w3.org/2000/svg}path"))[-1].attrib["d"]
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(value) for value in re.findall(r"-?[\d.]+", numbers)]
        if command == "h":
            picture[int(y), int(x) : int(x + values[0])] = 0
            x += values[0]
        else:
            x, y = (values[0], values[1]) if command == "M" else (x + values[0], y + values[1])
    return picture


def test_the_phones_address_is_the_operators_or_this_machines() -> None:
    phones = msgspec.structs.replace(config().phones, url="https://booth.example/")
    assert phone_url(phones, 5) == "https://booth.example"
    assert re.fullmatch(r"http://[\d.]+:5", phone_url(msgspec.structs.replace(phones, url=""), 5))
    local = msgspec.structs.replace(phones, url="", listen="[::1]:0")
    assert phone_url(local, 5) == "http://[::1]:5"


def test_the_kiosk_tells_what_it_offers(server: Server) -> None:
    about = server.client.get("/api/kiosk").json()
    assert [preset["name"] for preset in about["presets"]] == list(KioskConfig().presets)
    assert (about["phones"], about["take_home"], about["printing"]) == (True, True, None)
    health = server.client.get("/health").json()
    assert health["state"] == "ok"
    assert health["backend"] == "onnxruntime on cpu"


def test_the_description_of_the_api_is_whole(server: Server) -> None:
    described = server.client.get("/api/openapi.json").json()
    assert described == json.loads(msgspec.json.encode(openapi(API)))
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert references == set(described["components"]["schemas"])
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) == len(API)
    assert all(operation["summary"] for operation in operations)
    for path, methods in described["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path
    page = server.client.get("/api").text
    assert all(f"<td>{row.method}<td>" in page.replace("</td>", "") for row in API)
    assert "<script" not in page


def test_the_admin_page_is_off_without_a_password(server: Server) -> None:
    for method, path in (("GET", "/admin"), ("POST", "/admin/delete-everything")):
        answer = server.client.request(method, path, headers=basic("admin"))
        assert answer.status_code == 403
        assert "no password is set" in answer.json()["error"]["message"]


def test_the_operator_shares_a_hot_folder_and_deletes_everything(
    wanted: RunOptions, tmp_path: Path, portrait_jpeg: bytes
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.jpg").write_bytes(portrait_jpeg)
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    settings = config(
        admin=Admin(password_file=file), hot_folder=HotFolder(tmp_path / "in", tmp_path / "out", "film-scan")
    )
    with opened_kiosk(tmp_path / "own", settings, wanted, Log("text")) as kiosk, serving(kiosk) as server:
        customer = server.customer()
        customer.bring(portrait_jpeg)
        customer.choose("film-scan")
        made = customer.get("/result/file").content

        assert server.client.get("/admin").status_code == 401
        assert server.client.get("/admin", headers=basic("wrong password")).status_code == 401
        page = server.client.get("/admin", headers=basic("correct horse"))
        assert page.status_code == 200
        assert "Customers here<td>1" in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
        other = server.client.post(
            "/admin/delete-everything", headers=basic("correct horse") | {"origin": "http://evil.example"}
        )
        assert other.status_code == 403
        proxied = server.client.get(
            "/admin", headers=basic("correct horse") | {"x-forwarded-for": "10.0.0.7"}
        )
        assert proxied.status_code == 403
        assert customer.get().status_code == 200
        done = server.client.post("/admin/delete-everything", headers=basic("correct horse"))
        assert done.status_code == 303
        assert customer.get().status_code == 404
        assert server.files == []
        for _ in range(4):
            server.client.get("/admin", headers=basic("guess"))
        assert server.client.get("/admin", headers=basic("correct horse")).status_code == 429

        wait_for((tmp_path / "out" / "scan.jpg").exists)
        assert (tmp_path / "out" / "scan.jpg").read_bytes() == made
    assert (tmp_path / "out" / "done" / "scan.jpg").read_bytes() == portrait_jpeg


def test_a_hot_folder_is_tried_again_whatever_has_ended_it(
    wanted: RunOptions, tmp_path: Path, portrait_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.jpg").write_bytes(portrait_jpeg)
    errors, run = [WatchError("the folder is gone"), ValueError("a bug")], Watcher.run

    def failing(watcher: Watcher) -> None:
        if errors:
            raise errors.pop()
        run(watcher)

    monkeypatch.setattr(hot_folder, "AGAIN", 0.01)
    monkeypatch.setattr(Watcher, "run", failing)
    settings = config(hot_folder=HotFolder(tmp_path / "in", tmp_path / "out", "film-scan"))
    with opened_kiosk(tmp_path / "own", settings, wanted, Log("text")):
        wait_for((tmp_path / "out" / "scan.jpg").exists)


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minuts = 5", "unknown key minuts: did you mean minutes?"),
        ("[phones]\nlissen = '0.0.0.0:1'", "unknown key phones.lissen: did you mean listen?"),
        ("minutes = 0", "minutes is 0: give 0.01 to 1440"),
        ("minutes = nan", "minutes is nan: give 0.01 to 1440"),
        ("presets = ['film-scann']", "no preset 'film-scann': did you mean film-scan?"),
        ("presets = []", "presets is empty"),
        ("minutes = 'ten'", "minutes"),
        ("[phones]\nlisten = 'everywhere'", "phones.listen is everywhere: give address:port"),
        ("[phones]\nminutes = -1", "phones.minutes is -1: give 0.01 to 1440"),
        ("[phones]\nurl = 'ftp://x'", "phones.url must be an address"),
        ("[printing]\ncopies = 3", "printer"),
        ("[printing]\nprinter = 'x'\ncopies = 0", "printing.copies is 0: give 1 to 1000"),
        (
            "[printing]\nprinter = 'x'\npapers = [{name='a', media='b', width_mm=0, height_mm=1}]",
            "printing.papers.width_mm is 0: give 10 to 2000",
        ),
        ("[printing]\nprinter = 'x'\npapers = []", "printing needs at least one paper"),
        ("minutes =", "is not TOML"),
        ("[hot_folder]\nin = 'a'\nout = 'b'\npreset = 'x'", "no preset 'x'"),
    ],
)
def test_a_wrong_kiosk_toml_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(text)
    assert main(["--kiosk", str(file), "--folder", str(tmp_path / "own"), "--port", "0"]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "own").exists()


def test_every_documented_key_is_read(tmp_path: Path) -> None:
    documented = (Path(__file__).parents[3] / "docs" / "kiosk.md").read_text()
    example = re.search(r"```toml\n(.*?)```", documented, re.DOTALL)
    assert example is not None
    file = tmp_path / "kiosk.toml"
    file.write_text(example[1])
    read = read_kiosk_config(file)
    assert read.printing is not None
    keys = set(read.__struct_encode_fields__)
    assert all(re.search(rf"^\[?{key}\b", example[1], re.MULTILINE) for key in keys), keys


@pytest.mark.parametrize(
    ("content", "mode", "message"), [("short", 0o600, "too short"), ("x" * 20, 0o644, "others")]
)
def test_a_weak_admin_password_is_refused(tmp_path: Path, content: str, mode: int, message: str) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=message):
        read_password(Admin(password_file=file))


def test_a_password_may_have_any_letters_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("größer als acht\n", "utf-8")
    file.chmod(0o600)
    reading = (
        "import pathlib, sys; from runtime.serve.kiosk_config import Admin, read_password; "
        "print(ascii(read_password(Admin(password_file=pathlib.Path(sys.argv[1])))))"
    )
    command = [sys.executable, "-X", "utf8=0", "-c", reading, str(file)]
    locale = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=locale, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{'größer als acht'!a}\n"


def test_a_picture_with_alpha_and_one_in_grey_are_shown(customer: Customer) -> None:
    for image, expected in (
        (Image.new("RGBA", (80, 60), (10, 20, 30, 0)), 255),
        (Image.new("L", (80, 60), 70), 70),
        (Image.new("I;16", (80, 60), 70 * 257), 70),
    ):
        file = io.BytesIO()
        image.save(file, "PNG")
        assert customer.bring(file.getvalue())["state"] == "ready"
        with Image.open(io.BytesIO(customer.get("/photo", size=64).content)) as shown:
            assert shown.size == (64, 48)
            assert abs(shown.convert("L").getpixel((30, 30)) - expected) <= 2  # type: ignore[operator]
        customer.choose()
        assert customer.get("/result/file").content == file.getvalue()
