"""The README in both languages: the same commands and figures, and commands that exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """Return the lines of the indented blocks, without comments."""
    return [line.split(" #")[0].strip() for line in text.splitlines() if line.startswith("    ")]


def figures(text: str) -> list[str]:
    """Return the numbers outside of commands and links, in order of size."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    return sorted(re.findall(r"\d+(?:\.\d+)?", re.sub(r"\]\([^)]*\)", "]", prose)))


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", text))


def test_both_languages_have_the_same_commands() -> None:
    assert len(commands(ENGLISH)) > 15
    assert commands(CHINESE) == commands(ENGLISH)


def test_both_languages_have_the_same_figures() -> None:
    assert len(figures(ENGLISH)) > 40
    assert figures(CHINESE) == figures(ENGLISH)


def test_both_languages_link_to_the_same_pages_which_exist() -> None:
    assert links(CHINESE) - {"README.md"} == links(ENGLISH) - {"README.zh.md"}
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "training" / "README.md"]:
        for link in links(page.read_text(encoding="utf-8")):
            if not link.startswith(("http", "#")):
                assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize(
    "command",
    [command for command in commands(ENGLISH) if command.startswith("python -m runtime.")],
)
def test_the_options_of_the_readme_exist(command: str) -> None:
    words = shlex.split(command)
    shown = subprocess.run(
        [sys.executable, *words[1:3], "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    for option in filter(lambda word: word.startswith("-"), words[3:]):
        assert option in shown.stdout
