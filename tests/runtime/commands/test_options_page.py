"""The page of options is what the settings, presets and commands say."""

from pathlib import Path

from runtime.commands.options_page import page
from runtime.settings.presets import PRESETS, PURPOSES
from runtime.settings.settings import SETTINGS

PAGE = Path(__file__).parents[3] / "docs" / "options.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page() + "\n", "run `make docs`"


def test_the_page_has_every_setting_and_preset_once() -> None:
    rows = [line for line in page().split("## python")[0].splitlines() if line.startswith("| `")]
    for flag in (each.flag for each in SETTINGS.values()):
        assert sum(row.startswith((f"| `{flag} ", f"| `{flag}`")) for row in rows) == 1
    assert PURPOSES.keys() == PRESETS.keys()
    for name in PRESETS:
        assert sum(row.startswith(f"| `{name}`") for row in rows) == 1
