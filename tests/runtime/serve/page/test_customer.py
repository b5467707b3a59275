"""The whole way of a customer, in a real browser and against the real server."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from runtime.serve.kiosk_config import KioskConfig
from tests.runtime.serve.page.conftest import IDLE, Kiosk, Watched
from tests.runtime.serve.page.fingers import Fingers, middle


def _begin(page: Any) -> None:
    page.tap(".attract button.primary:enabled")
    page.wait_for_selector(".bring")


def _bring(page: Any, photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.tap("[data-source=file]")
    chooser.value.set_files(photo)
    page.wait_for_selector(".adjust .over.loaded")


def _visit_of(page: Any) -> str:
    return str(page.evaluate("sessionStorage.getItem('visit')"))


def test_a_customer_goes_the_whole_way_by_touch(
    kiosk: Kiosk, screen: Watched, phone: Watched, photo_of_three: Path, tmp_path: Path
) -> None:
    page, fingers = screen.page, Fingers(screen.page)
    page.emulate_media(reduced_motion="no-preference")  # the others see the page at rest, which is quicker
    _begin(page)
    visit = _visit_of(page)
    _upload_by_phone(page, phone.page, photo_of_three)
    _leave_the_second_face_out(page)
    _choose_preset_and_strength(screen, fingers)
    page.tap(".controls button.primary")
    page.wait_for_selector(".result.ready")
    _compare(page, fingers)
    _print(page, kiosk)
    kept = _take_home(page, phone.page, tmp_path)
    _check_kept(photo_of_three, kept)
    link = phone.page.url
    page.tap("header .end")
    page.tap("dialog .danger")
    page.wait_for_selector(".goodbye")
    kiosk.wait_until_gone(visit)
    phone.page.goto(link)
    phone.page.wait_for_selector(".seal.close")
    left = [path.name for path in kiosk.folder.rglob("*") if path.is_file() and path.stat().st_size > 10_000]
    assert [name for name in left if not name.startswith("kiosk.sqlite")] == []
    assert screen.errors == phone.errors == []
    assert screen.elsewhere() == phone.elsewhere() == []


def _upload_by_phone(page: Any, phone: Any, photo: Path) -> None:
    phone.goto(page.get_attribute(".qr[data-url]", "data-url"))
    phone.wait_for_selector("label.button")
    assert phone.get_attribute("html", "lang") == "de"
    with phone.expect_file_chooser() as chooser:
        phone.tap("label.button")
    chooser.value.set_files(photo)
    phone.wait_for_selector(".seal.check")
    page.wait_for_selector(".adjust .over.loaded")


def _leave_the_second_face_out(page: Any) -> None:
    assert page.locator(".ring").count() == page.locator("button.face").count() == 3
    assert page.locator("button.face[data-face='2']").is_disabled()
    assert page.locator(".warnings li").all_inner_texts()[-1].startswith("3")
    second = page.locator("button.face[data-face='1']")
    page.touchscreen.tap(*middle(page.locator(".ring[data-face='1']")))
    assert second.get_attribute("aria-pressed") == "false"
    second.tap()
    assert second.get_attribute("aria-pressed") == "true"
    second.tap()
    page.wait_for_selector(".photo-frame:not(.busy)")
    assert "leave_out=1&" in page.get_attribute(".over", "src")


def _choose_preset_and_strength(screen: Watched, fingers: Fingers) -> None:
    page = screen.page
    page.wait_for_function(
        "[...document.querySelectorAll('.preset img')].every((image) => image.naturalWidth)"
    )
    page.tap("[data-preset=low-light]")
    page.wait_for_selector(".photo-frame:not(.busy)")
    assert "preset=low-light" in page.get_attribute(".over", "src")
    asked, slider = len(screen.requests), page.locator(".strength")
    fingers.drag(middle(slider, 0.95), middle(slider, 0.6))
    strength = int(slider.input_value())
    assert 50 < strength < 70
    assert float(page.locator(".over").evaluate("(image) => image.style.opacity")) == strength / 100
    assert not [url for url in screen.requests[asked:] if "/preview" in url]  # a move needs no server


def _compare(page: Any, fingers: Fingers) -> None:
    line, frame = page.locator(".divider"), page.locator(".compare")
    fingers.drag(middle(line), middle(frame, 0.25))
    assert int(line.get_attribute("aria-valuenow")) == pytest.approx(25, abs=2)
    fingers.pinch(middle(frame, 0.6), 80, 240)
    assert float(frame.get_attribute("data-scale")) == pytest.approx(3, rel=0.05)
    before = page.locator(".compare .layer img").first.bounding_box()
    fingers.drag(middle(frame, 0.7), middle(frame, 0.6))
    assert page.locator(".compare .layer img").first.bounding_box()["x"] < before["x"] - 20
    page.tap(".tools button:nth-child(2)")
    assert frame.get_attribute("data-scale") == "1.00"


def _print(page: Any, kiosk: Kiosk) -> None:
    (kiosk.printer / "no-paper").touch()
    page.tap("[data-way=print]")
    page.wait_for_selector(".paper-stage img.loaded")
    page.tap("[data-paper='5x7']")
    page.tap(".controls button.primary")
    page.wait_for_selector(".job.paper-out")
    assert "out of paper" in page.inner_text(".job")
    (kiosk.printer / "no-paper").unlink()
    page.wait_for_selector(".job.done")
    (printed,) = kiosk.printer.glob("*.jpg")
    with Image.open(printed) as paper:
        assert max(paper.size) / min(paper.size) == pytest.approx(177.8 / 127, abs=0.01)
    page.tap(".job button")
    page.wait_for_selector(".job.done + .job.done")
    assert page.locator(".controls button.primary").is_disabled()  # two copies are the most
    page.tap("header .back")
    page.wait_for_selector(".result.ready")


def _take_home(page: Any, phone: Any, folder: Path) -> Path:
    page.tap("[data-way=take-home]")
    phone.goto(page.get_attribute(".qr.large[data-url]", "data-url"))
    phone.wait_for_selector(".keepsake img.loaded")
    with phone.expect_download() as download:
        phone.tap("a.button")
    kept = folder / download.value.suggested_filename
    download.value.save_as(kept)
    return kept


def _check_kept(photo: Path, kept: Path) -> None:
    """The large face is restored; the second was left out and the third is too small: they are as before."""
    before, after = (np.asarray(Image.open(path).convert("RGB"), np.int16) for path in (photo, kept))
    assert before.shape == after.shape
    changed = np.abs(after - before).max(axis=2)
    assert changed[60:180, 165:250].mean() > 3
    assert not changed[:, 400:].any()


def test_a_customer_goes_the_whole_way_by_keyboard(
    kiosk: Kiosk, screen: Watched, photo_of_three: Path
) -> None:
    page, press = screen.page, screen.page.keyboard.press
    page.wait_for_selector(".attract button.primary:enabled")
    _tab_to(page, ".attract button.primary")
    press("Enter")
    page.wait_for_selector(".bring [data-source=file]")
    _tab_to(page, "[data-source=file]")
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files(photo_of_three)
    page.wait_for_selector(".adjust .over.loaded")
    _tab_to(page, "button.face[data-face='1']")
    press("Space")
    assert page.get_attribute("button.face[data-face='1']", "aria-pressed") == "false"
    _tab_to(page, ".preset[aria-checked=true]")
    press("ArrowRight")
    assert page.locator(".preset").nth(1).get_attribute("aria-checked") == "true"
    _tab_to(page, ".strength")
    press("ArrowLeft")
    assert page.input_value(".strength") == "99"
    _tab_to(page, ".controls button.primary")
    press("Enter")
    page.wait_for_selector(".result.ready")
    _tab_to(page, ".divider")
    for key in ("ArrowLeft", "ArrowLeft", "+"):
        press(key)
    assert page.get_attribute(".divider", "aria-valuenow") == "40"
    assert page.get_attribute(".compare", "data-scale") == "1.50"
    _tab_to(page, "header .end")
    press("Enter")
    page.wait_for_selector("dialog")
    press("Escape")
    assert page.locator("dialog").count() == 0
    press("Enter")
    _tab_to(page, "dialog .danger")
    press("Enter")
    page.wait_for_selector(".goodbye")
    assert screen.errors == []


def _tab_to(page: Any, wanted: str) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            outline = page.evaluate(
                "() => [document.activeElement, ...document.activeElement.children]"
                ".map((one) => getComputedStyle(one).outlineStyle)"
            )
            assert "solid" in outline or "auto" in outline, wanted
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


def test_a_print_comes_from_the_scanner_and_nobody_sees_scans_of_others(
    kiosk: Kiosk, screen: Watched, photo_of_three: Path
) -> None:
    page = screen.page
    earlier = kiosk.scans.with_name("earlier")
    earlier.mkdir()
    (earlier / "earlier.png").write_bytes(photo_of_three.read_bytes())
    os.utime(earlier / "earlier.png", (1, 1))
    time.sleep(1)
    _begin(page)
    page.tap("[data-source=scans]:enabled")
    page.wait_for_selector(".shelf .waiting")
    assert page.locator(".thumb").count() == 0
    earlier.rename(kiosk.scans / "earlier")
    page.wait_for_selector(".shelf .unknown")
    assert page.locator(".thumb").count() == 0
    (kiosk.scans / "new.png").write_bytes(photo_of_three.read_bytes())
    page.wait_for_selector(".thumb")
    assert "null" not in page.inner_text(".shelf")
    page.tap(".thumb")
    page.wait_for_selector(".adjust .over.loaded")
    assert screen.errors == []


def test_a_photo_that_cannot_be_read_is_refused_in_plain_words(screen: Watched, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo at all")
    _begin(screen.page)
    with screen.page.expect_file_chooser() as chooser:
        screen.page.tap("[data-source=file]")
    chooser.value.set_files(broken)
    screen.page.wait_for_selector(".trouble:not(:empty)")
    assert "cannot be read" in screen.page.inner_text(".trouble")


def test_a_photo_of_a_phone_that_cannot_be_read_is_refused_on_the_screen_too(screen: Watched) -> None:
    page = screen.page
    _begin(page)
    link = page.get_attribute(".qr[data-url]", "data-url")
    assert httpx.post(f"{link}/photo", content=b"no photo at all").status_code == 201
    page.wait_for_selector(".trouble:not(:empty)")
    assert "cannot be read" in page.inner_text(".trouble")


def test_no_source_moves_or_loses_the_focus_when_another_appears(screen: Watched) -> None:
    page, media = screen.page, list[dict[str, Any]]()
    asked = [0]

    def answer(route: Any) -> None:
        asked[0] += 1
        # As the server does, it takes its time for the first answer.
        (route.fulfill(json={"media": media}) if asked[0] > 1 else held.append(route))

    held = list[Any]()
    page.route("**/api/media", answer)
    with page.expect_request("**/api/media"):
        _begin(page)
    assert page.locator(".source").count() == 0
    held[0].fulfill(json={"media": media})
    page.wait_for_selector("[data-source=stick]:disabled")
    page.focus("[data-source=file]")
    page.evaluate("document.activeElement.dataset.known = 'yes'")
    media.append({"id": "0", "kind": "stick", "label": "CARD", "photos": 3})
    page.wait_for_selector("[data-source=stick]:enabled")
    media.append({"id": "1", "kind": "scans", "label": "scans", "photos": 0})
    page.wait_for_selector("[data-source=scans]")
    order = "[...document.querySelectorAll('.source')].map((one) => one.dataset.source)"
    assert page.evaluate(order) == ["stick", "scans", "file"]
    assert page.evaluate("document.activeElement.dataset.known") == "yes"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


def test_a_picture_that_does_not_arrive_is_asked_for_again(screen: Watched, photo_of_three: Path) -> None:
    page, failed = screen.page, list[str]()

    def fail_once(route: Any) -> None:
        kind = route.request.url.partition("?")[0].rpartition("/")[2]
        if kind in failed:
            route.continue_()
        else:
            failed.append(kind)
            route.abort()

    page.route("**/preview?*", fail_once)
    page.route("**/result?*", fail_once)
    page.route("**/print-preview?*", fail_once)
    _begin(page)
    _bring(page, photo_of_three)
    page.tap(".controls button.primary")
    page.wait_for_selector(".result.ready")
    page.tap("[data-way=print]")
    page.wait_for_selector(".paper-stage img.loaded")
    assert failed == ["preview", "result", "print-preview"]


def test_a_preset_shows_the_face_as_it_is_until_the_restored_one_arrives(
    screen: Watched, photo_of_three: Path
) -> None:
    page, waits = screen.page, list[Any]()
    page.route(re.compile(r"/faces/0\?.*preset="), lambda route: waits.append(route))
    _begin(page)
    _bring(page, photo_of_three)
    page.wait_for_selector(".preset:last-child img[src*='/faces/0?size=320&n=1']")
    for preset in KioskConfig().presets:
        while not waits:
            page.wait_for_timeout(50)
        assert page.locator(f"[data-preset={preset}] img[src*='preset=']").count() == 0
        waits.pop().continue_()
        page.wait_for_selector(f"[data-preset={preset}] img[src*='preset={preset}&']")
    assert screen.errors == []


def test_a_customer_who_walks_away_is_asked_and_then_deleted(
    kiosk: Kiosk, screen: Watched, photo_of_three: Path
) -> None:
    page = screen.page
    page.clock.install()
    page.reload()
    _begin(page)
    _bring(page, photo_of_three)
    visit = _visit_of(page)
    # A minute of the page lasts as long as the test needs, however busy the machine.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    page.keyboard.press("Shift")  # a touch
    page.clock.fast_forward((IDLE - 10) * 1000)
    page.wait_for_selector("dialog")
    page.tap("dialog .primary")
    page.clock.fast_forward((IDLE - 100) * 1000)
    assert page.locator("dialog").count() == 0
    page.clock.fast_forward(101_000)
    page.wait_for_selector(".attract")
    page.clock.resume()
    kiosk.wait_until_gone(visit)
    assert page.evaluate("sessionStorage.length") == 0


def test_the_page_says_that_the_connection_is_lost_and_goes_on_when_it_is_back(
    screen: Watched, photo_of_three: Path
) -> None:
    page = screen.page
    _begin(page)
    _bring(page, photo_of_three)
    page.context.set_offline(True)
    page.evaluate("window.stop()")  # what was open is cut as well
    page.wait_for_selector("#lost:not([hidden])")
    with page.expect_event("requestfailed", lambda request: "/preview" in request.url):
        page.tap("[data-preset=low-light]")
    page.context.set_offline(False)
    page.wait_for_selector("#lost", state="hidden")
    page.wait_for_selector(".photo-frame:not(.busy)")  # what was chosen meanwhile arrives
    assert "preset=low-light" in page.get_attribute(".over", "src")
    assert page.locator("dialog").count() == 0
    page.reload()
    page.wait_for_selector(".adjust .over.loaded")  # the same customer is where they were


def test_a_server_that_hangs_is_noticed(kiosk: Kiosk, screen: Watched, photo_of_three: Path) -> None:
    page = screen.page
    page.clock.install()
    page.reload()
    _begin(page)
    _bring(page, photo_of_three)
    kiosk.process.send_signal(signal.SIGSTOP)
    try:
        page.clock.fast_forward(30_000)
        page.wait_for_selector("#lost:not([hidden])")
    finally:
        kiosk.process.send_signal(signal.SIGCONT)
    page.wait_for_selector("#lost", state="hidden")


def test_a_customer_is_not_forgotten_while_the_server_does_not_answer(
    screen: Watched, photo_of_three: Path
) -> None:
    page, tries = screen.page, list[str]()

    def fail_twice(route: Any) -> None:
        tries.append(route.request.url)
        (route.abort if len(tries) <= 2 else route.continue_)()

    _begin(page)
    _bring(page, photo_of_three)
    page.route(f"**/api/visits/{_visit_of(page)}", fail_twice)
    page.reload()
    page.wait_for_selector(".adjust .over.loaded")
    assert len(tries) == 3


def test_a_phone_out_of_reach_is_not_told_that_its_photo_is_deleted(screen: Watched, phone: Watched) -> None:
    _begin(screen.page)
    link = screen.page.get_attribute(".qr[data-url]", "data-url")
    for page in ("/p/", "/t/"):
        phone.page.route("**/status", lambda route: route.abort())
        phone.page.goto(link.replace("/p/", page))
        phone.page.wait_for_selector(".seal.close + h1")
        assert "nicht erreichbar" in phone.page.inner_text("h1")
        phone.page.unroute("**/status")
        phone.page.tap("button.primary")
        phone.page.wait_for_selector("label.button" if page == "/p/" else ".seal.close + h1")


def test_a_browser_that_puts_decoding_off_keeps_no_customer_waiting(
    screen: Watched, photo_of_three: Path
) -> None:
    screen.page.evaluate("() => { HTMLImageElement.prototype.decode = () => new Promise(() => {}); }")
    _begin(screen.page)
    _bring(screen.page, photo_of_three)  # which waits until the picture is shown
    assert screen.errors == []


def test_the_language_pressed_last_is_spoken_though_an_earlier_one_arrives_later(screen: Watched) -> None:
    page, held = screen.page, list[Any]()
    page.wait_for_selector(".attract button.primary:enabled")
    page.route("**/lang/fr.json", lambda route: held.append(route))
    page.locator("[data-language=fr]").dispatch_event("click")
    page.locator("[data-language=de]").dispatch_event("click")
    page.wait_for_selector("html[lang=de]")
    with page.expect_response("**/lang/fr.json"):
        held[0].continue_()
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert page.get_attribute("html", "lang") == "de"
    assert page.locator("[data-language=de]").get_attribute("aria-pressed") == "true"
    assert screen.errors == []
