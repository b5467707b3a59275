"""The page's words, colours and files, without a browser."""

import ast
import json
import re
from itertools import product
from pathlib import Path

import pytest

import runtime.serve
from runtime.faces.no_information import Cause
from runtime.serve.wire import PrinterState, PrintState
from runtime.settings.presets import PRESETS
from runtime.timing import Stage

PAGE = Path(runtime.serve.__file__).parent / "page"
LANGUAGES = ("de", "en", "es", "fr", "ja", "zh")
SCRIPTS = {path: path.read_text() for path in PAGE.rglob("*.js")}


def _words(language: str) -> dict[str, str]:
    return dict(json.loads((PAGE / "lang" / f"{language}.json").read_text()))


def _values(sentence: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", sentence))


def test_the_languages_are_those_of_the_folder() -> None:
    assert {path.stem for path in (PAGE / "lang").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things(language: str) -> None:
    english, other = _words("en"), _words(language)
    assert list(other) == list(english)
    for key, sentence in other.items():
        assert sentence.strip() == sentence != ""
        # "another minute" and its like need no number
        optional = {"n"} if key.endswith(".one") else set()
        assert _values(sentence) | optional == _values(english[key]) | optional, key


def test_no_sentence_of_another_language_was_left_in_english() -> None:
    english = _words("en")
    for language in set(LANGUAGES) - {"en"}:
        same = {key for key, words in _words(language).items() if words == english[key] and " " in words}
        assert same <= {"photos.one", "photos.other", "bring.photo"}, same  # "{n} photos" is French, too


def test_every_word_that_the_page_says_exists_and_is_used() -> None:
    english = set(_words("en"))
    stems = english | {key.rpartition(".")[0] for key in english if key.endswith((".one", ".other"))}
    said = {key for text in SCRIPTS.values() for key in re.findall(r'\bsay\((?:[^)"]*\? )?"([\w.-]+)"', text)}
    said |= {
        key
        for text in SCRIPTS.values()
        for key in re.findall(r'\bsay\([^)]*\? "[\w.-]+" : "([\w.-]+)"', text)
    }
    assert said <= stems, said - stems
    families = (
        "preset.",
        "warning.",
        "remark.",
        "error.",
        "stage.",
        "print.state.",
        "printer.",
        "compare.",
        "result.",
        "goodbye.",
    )
    unused = {stem for stem in stems - said if not stem.startswith(families)}
    assert {stem for stem in unused if not stem.endswith((".one", ".other"))} == set()


def test_every_code_of_the_server_has_its_sentence() -> None:
    english = _words("en")
    warnings = re.findall(r'FaceWarning\(\s*"([a-z-]+)"', (PAGE.parents[1] / "face_warnings.py").read_text())
    assert len(warnings) >= 7
    wanted = {f"warning.{code}" for code in warnings}
    wanted |= {f"warning.missing-information.{cause}" for cause in Cause.__args__}
    wanted |= {f"preset.{name}" for name in PRESETS}
    wanted |= {f"remark.{code}" for code in ("no-face", "pages", "animation", "damaged", "file")}
    wanted |= {f"print.state.{state}" for state in PrintState.__args__}
    wanted |= {f"printer.{state}" for state in set(PrinterState.__args__) - {"ready", "printing"}}
    wanted |= {f"stage.{stage}" for stage in Stage.__args__}
    wanted |= {f"error.{code}" for code in _error_codes()}
    assert wanted <= set(english), wanted - set(english)


def _error_codes() -> set[str]:
    """The codes of errors that the server raises, from its source."""
    codes = set()
    for path in PAGE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "KioskError" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    codes.add(str(first.value))
    assert len(codes) >= 5
    return codes


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.html")), ids=lambda path: path.name)
def test_no_page_holds_a_script_or_a_style_of_its_own(path: Path) -> None:
    html = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.S) == [""]


def test_no_file_of_the_page_names_another_machine() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".json", ".svg"):
            links = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", _without_comments(path)))
            assert links <= {"http://www.w3.org/2000/svg"}, path


def _without_comments(path: Path) -> str:
    text = path.read_text()
    return re.sub(r"^\s*//.*$", "", text, flags=re.M) if path.suffix == ".js" else text


def test_no_text_becomes_html() -> None:
    for path, text in SCRIPTS.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    """Contrast as WCAG 2.2 defines it, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_contrast_of_text_and_outlines_is_aa() -> None:
    style = (PAGE / "style.css").read_text()
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", style))
    grounds = [colour[name] for name in ("ground", "surface", "stage")]
    for ink, ground in product((colour["ink"], colour["quiet"], colour["accent"]), grounds):
        assert _contrast(ink, ground) >= 4.5, (ink, ground)
    assert _contrast("#ffffff", colour["accent"]) >= 4.5
    assert _contrast(colour["accent"], colour["accent-pale"]) >= 4.5
    assert _contrast(colour["amber-ink"], colour["amber"]) >= 4.5
    assert _contrast(colour["danger"], colour["surface"]) >= 4.5
    assert _contrast(colour["danger"], colour["ground"]) >= 4.5
    assert _contrast(colour["edge-strong"], colour["ground"]) >= 3  # outlines of what can be touched
