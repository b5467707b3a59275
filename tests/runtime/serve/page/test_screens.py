"""Every screen in every language, lying and standing: nothing is cut off, covered or too small."""

from pathlib import Path
from typing import Any

import pytest

from tests.runtime.serve.page.conftest import Kiosk, Watched

SMALL = {"width": 1024, "height": 600}
STANDING = {"width": 1080, "height": 1920}
LANGUAGES = ("en", "es", "fr", "ja", "zh", "de")  # the one with the longest words is the last
TARGET = 44
"""Pixels that what can be touched measures at least (WCAG 2.2, 2.5.5)."""

FAULTS = Path(__file__).with_name("faults.js").read_text()


def _faults(page: Any, where: str) -> list[str]:
    return [f"{where}: {fault}" for fault in page.evaluate(FAULTS, TARGET)]


def _in_all_languages(page: Any, name: str, ready: str) -> list[str]:
    """Look at the present screen in all languages where it is smallest, and in the last one standing."""
    found = []
    for language in LANGUAGES:
        _change_language(page, name, language)
        page.wait_for_selector(ready)
        found += _faults(page, f"{name}, {language}, small")
    page.set_viewport_size(STANDING)
    page.wait_for_selector(ready)
    found += _faults(page, f"{name}, standing")
    page.set_viewport_size(SMALL)
    return found


def _change_language(page: Any, name: str, language: str) -> None:
    """Press the buttons for it, as scripts do: the browser need not draw each state in between."""
    if name == "attract":
        page.locator(f"[data-language={language}]").dispatch_event("click")
    else:
        page.locator("header .globe").dispatch_event("click")
        page.locator(f"dialog [data-choice={language}]").dispatch_event("click")
    page.wait_for_selector(f"html[lang^={language}]")


def test_nothing_is_cut_off_at_any_size_in_any_language(
    kiosk: Kiosk, screen: Watched, photo_of_three: Path
) -> None:
    page = screen.page
    page.wait_for_selector(".attract button.primary:enabled")
    found = _in_all_languages(page, "attract", ".sample .loaded")
    page.tap(".attract button.primary")
    found += _in_all_languages(page, "bring", "[data-source=file]")
    page.set_input_files(".hidden-input", photo_of_three)
    page.wait_for_selector(".adjust .over.loaded")
    found += _in_all_languages(page, "adjust", ".adjust .over.loaded")
    page.tap(".controls button.primary")
    page.wait_for_selector(".result.ready")
    found += _in_all_languages(page, "result", ".result.ready")
    page.tap("[data-way=print]")
    found += _in_all_languages(page, "print", ".paper-stage img.loaded")
    page.tap("header .back")
    page.wait_for_selector(".result.ready")
    page.tap("[data-way=take-home]")
    found += _in_all_languages(page, "takeHome", ".qr.large[data-url]")
    assert found == []
    assert screen.errors == []


@pytest.mark.parametrize(
    ("circle", "closer"),
    [((300, 200, 30), 4), ((300, 200, 100), 1.5), ((300, 200, 300), 1), ((0, 0, 20), 4)],
)
def test_a_photo_is_shown_so_close_that_its_faces_fill_the_place(
    screen: Watched, circle: tuple[int, int, int], closer: float
) -> None:
    laid = screen.page.evaluate(
        """async (circle) => {
          const { around, laid } = await import("/page/parts/closeup.js");
          const photo = { width: 600, height: 450 };
          return laid(photo, around([{ circle }], photo), 800, 600);
        }""",
        circle,
    )
    assert laid["closer"] == pytest.approx(closer, rel=0.01)
    assert laid["left"] <= 0 <= 800 <= laid["left"] + laid["width"] + 1e-6  # the place is full
    assert laid["top"] <= 0 <= 600 <= laid["top"] + laid["height"] + 1e-6
