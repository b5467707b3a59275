"""A setting is declared once: what shows, reads or checks settings follows from the declaration."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pytest

from base.errors import SettingsError
from base.setting import Range, declared, setting
from runtime import SETTINGS, RestoreSettings, preset, read_settings
from runtime.commands.options import given_settings, parser
from runtime.settings.presets import PRESETS
from runtime.settings.settings import of_scope


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_says_what_it_does_in_sentences(name: str) -> None:
    about = SETTINGS[name]
    assert about.help[0].isupper()
    assert about.help.endswith(".")
    assert about.kind != "other" or about.parse


def test_every_setting_has_a_scope() -> None:
    names = [field.name for field in fields(RestoreSettings)]
    assert sorted(of_scope("photo", "loop", "face")) == sorted(names) == sorted(SETTINGS)
    assert set(of_scope("loop")) == {"degradation_scale", "latent_step_decay", "iterations"}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_an_option_of_the_command_line(name: str) -> None:
    read = parser().parse_args(["photo.jpg"])
    assert getattr(read, name) is None
    about = SETTINGS[name]
    words = [about.flag] if about.kind == "switch" else [about.flag, WORDS[name]]
    options = parser().parse_args(["photo.jpg", *words])
    assert read_settings({name: given_settings(options)[name]}) == RestoreSettings(**given_settings(options))


WORDS = {
    "strength": "0.3",
    "same_person": "0.3",
    "eyes": "blurred",
    "degradation_scale": "0.5",
    "latent_step_decay": "0.04",
    "iterations": "3",
    "face_mask_weights": "eye=1.3,lip=0",
    "budget": "2",
    "face": "0,2",
    "upscale": "2",
    "template": "ffhq",
    "scope": "photo",
}


@dataclass(frozen=True)
class Trial:
    sparkle: float = setting(0.5, "face", "How much the eyes sparkle.", range=Range(0, 1, {7: "fireworks"}))
    hat: Literal["none", "bowler"] = setting("none", "photo", "Which hat is put on.")
    smile: bool = setting(False, "face", "Smile.")
    curls: int = setting(3, "face", "The number of curls.", range=Range(0, above=True), unit="curls")


TRIAL = declared(Trial)


def test_a_form_can_be_made_from_what_a_setting_declares() -> None:
    assert [(s.name, s.kind, s.default, s.choices) for s in TRIAL.values()] == [
        ("sparkle", "number", 0.5, ()),
        ("hat", "choice", "none", ("none", "bowler")),
        ("smile", "switch", False, ()),
        ("curls", "whole number", 3, ()),
    ]
    assert [s.limits for s in TRIAL.values()] == [
        "0 to 1, or 7 for fireworks",
        "one of none, bowler",
        "",
        "more than 0 curls",
    ]
    assert TRIAL["sparkle"].range == Range(0, 1, {7: "fireworks"})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sparkle", " 0.25 ", 0.25),
        ("sparkle", "7", 7.0),
        ("hat", "bowler", "bowler"),
        ("smile", "on", True),
        ("smile", "False", False),
        ("curls", "1", 1),
    ],
)
def test_a_setting_reads_what_a_form_sends(name: str, text: str, value: Any) -> None:
    assert TRIAL[name].read(text) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("sparkle", "1.5", "sparkle is 1.5: give 0 to 1, or 7 for fireworks"),
        ("sparkle", "nan", "sparkle is nan: give 0 to 1"),
        ("sparkle", "much", "sparkle is 'much': give a number, 0 to 1"),
        ("hat", "fez", "hat is 'fez': give one of none, bowler"),
        ("smile", "broadly", "smile is 'broadly': give true or false"),
        ("curls", "0", "curls is 0 curls: give more than 0"),
        ("curls", "2.5", "curls is '2.5': give a whole number, more than 0"),
        ("curls", "\n\x1b", "give a whole number"),
    ],
)
def test_what_is_outside_the_range_is_refused_in_one_line(name: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TRIAL[name].read(text)
    assert words in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("weights", [3, "eye=1", [("eye", 1)]])
def test_weights_from_python_are_a_mapping(weights: Any) -> None:
    with pytest.raises(SettingsError, match=r"face_mask_weights is .*: give a weight for each region"):
        RestoreSettings(face_mask_weights=weights)


@pytest.mark.parametrize("name", ["degradation_scale", "latent_step_decay", "iterations", "budget"])
@pytest.mark.parametrize("value", ["1", None, True, math.nan, [1], 1j])
def test_settings_from_python_are_checked_too(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        RestoreSettings(**{name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    made = RestoreSettings(latent_step_decay=np.float64(0.05), iterations=np.int64(4), budget=np.float32(2))  # type: ignore[arg-type]
    assert made == RestoreSettings(latent_step_decay=0.05, iterations=4, budget=2.0)


def test_a_table_is_read_as_a_config_file_would_be() -> None:
    assert read_settings({}) == RestoreSettings()
    for name in PRESETS:
        assert read_settings({"preset": name}) == preset(name)
    table = {"preset": "film-scan", "face": [0, 2], "budget": 9, "grain": False}
    made = read_settings(table)
    assert made == preset("film-scan", face=(0, 2), budget=9.0, grain=False)
    assert table["preset"] == "film-scan"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"iteration": 3}, "no setting 'iteration'; did you mean iterations?"),
        ({"preset": "clasic"}, "did you mean classic?"),
        ({"preset": 3}, "preset is 3: give a text"),
        ({"iterations": "3"}, "iterations is '3': give a whole number"),
        ({"iterations": 0}, "iterations is 0: give 1 to 1000"),
        ({"face_mask_weights": {"eye": 3}}, "the weight of eye is 3.0"),
        ({"presets": {}}, "no setting 'presets'"),
    ],
)
def test_a_table_with_a_mistake_is_refused_in_one_line(table: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(table)
    assert words in str(raised.value)


def test_a_photo_behind_an_option_without_its_number_is_told_where_to_go() -> None:
    with pytest.raises(SettingsError, match=r"or put --same-person without one after the photos$"):
        SETTINGS["same_person"].read("album/")
