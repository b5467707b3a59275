"""The fuzz targets hold for the corpus, for what hypothesis thinks of, and would tell if they did not."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base import command_line
from runtime.faces.regions import WEIGHT_NAMES
from tests.fuzz import targets
from tests.fuzz.__main__ import CORPUS, NAMES, main
from tests.fuzz.pictures import pictures
from tests.fuzz.targets import TARGETS

FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORPUS)))
def test_what_fuzzing_began_with_and_has_found_breaks_no_promise(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_the_corpus_is_small_has_every_format_and_serves_every_target() -> None:
    assert {path.parent.name for path in FILES} == set(NAMES) == set(TARGETS)
    assert sum(path.stat().st_size for path in FILES) < 200_000
    assert pictures().keys() <= {path.name for path in FILES if path.parent.name == "photo"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50)
@given(data=st.data())
def test_any_manifest_opens_or_is_refused_in_one_line(data: st.DataObject) -> None:
    manifest = json.loads((CORPUS / "manifest" / "quantised").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = manifest
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys))
            if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
                break
            place = place[key]
        place[key] = data.draw(VALUES)
    targets.manifest(json.dumps(manifest).encode())


WORDS = st.one_of(
    st.sampled_from(
        [word for path in (CORPUS / "settings").iterdir() for word in path.read_text().split("\n")]
    ),
    st.text(max_size=8),
    st.lists(
        st.tuples(st.sampled_from(WEIGHT_NAMES), st.sampled_from(["=", "", "=="]), st.floats().map(str)).map(
            "".join
        )
    ).map(",".join),
)


@settings(max_examples=100)
@given(st.lists(WORDS, max_size=5))
def test_any_words_become_settings_or_are_refused_in_one_line(words: list[str]) -> None:
    targets.settings("\n".join(words).encode("utf-8", "surrogateescape"))


def test_a_target_reports_other_errors_and_unprintable_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for error, told in (
        (ZeroDivisionError("a mistake"), ZeroDivisionError),
        (targets.PackageError("red \x1b[31m"), AssertionError),
    ):

        def wrong(folder: Path, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(targets, "open_package", wrong)
        with pytest.raises(told):
            targets.manifest(b"{}")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert main(["config", "-o", str(tmp_path)]) == command_line.BAD_INPUT
    assert capsys.readouterr().err.strip().endswith("pip install 'gpen-edge[fuzz]'")


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pixels"]) == command_line.BAD_INPUT
    assert "target is 'pixels': there are photo" in capsys.readouterr().err
