"""Config files: whatever is in one, it becomes settings or one line that says what is wrong."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import SettingsError
from runtime import RestoreSettings, preset
from runtime.settings.config_file import RUN, Config, read_config
from runtime.settings.config_values import LARGEST_FILE, in_words
from runtime.settings.presets import PRESETS
from runtime.settings.resolved import lines, resolve_settings

EVERYTHING = """
model_path = "default"
size = 256
channel_multiplier = 1
backend = "auto"
device = "cpu"
threads = 2
preset = "gentle"

degradation_scale = 0.7
latent_step_decay = 0.04
iterations = 20
face_mask_weights = { eye = 1.3, lip = 1 }
grain = true
budget = 9
face = [0, 2]
upscale = 2
template = "ffhq"

[presets.soft]
based_on = "early-digital"
latent_step_decay = 0.03

[presets.gentle]
based_on = "soft"
grain = true

[[faces]]
face = 0
preset = "classic"

[[faces]]
face = 2
restore = false
"""


@pytest.fixture
def config(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Write a config file and read it."""

    def read(text: str | bytes, name: str = "config.toml") -> Config:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_config(path)

    return read


def test_a_file_can_say_everything(config) -> None:
    read = config(EVERYTHING)
    assert resolve_settings(read).settings == RestoreSettings(
        degradation_scale=0.7,
        latent_step_decay=0.04,
        iterations=20,
        face_mask_weights={"eye": 1.3, "lip": 1.0},
        grain=True,
        budget=9.0,
        face=(0, 2),
        upscale=2,
        template="ffhq",
    )
    assert read.run == {
        "model_path": "default",
        "size": 256,
        "channel_multiplier": 1,
        "backend": "auto",
        "device": "cpu",
        "threads": 2,
        "preset": "gentle",
    }
    assert isinstance(read.changes["budget"], float)


def test_toml_and_json_say_the_same(config, tmp_path: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    assert config(json.dumps(tomllib.loads(EVERYTHING)), "same.json") == Config(
        **{**vars(config(EVERYTHING)), "file": str(tmp_path / "same.json")}
    )


def test_every_setting_has_a_name_in_the_file(config) -> None:
    standard = vars(RestoreSettings())
    read = config(json.dumps(standard), "all.json")
    assert read.changes == standard
    assert resolve_settings(read).settings == RestoreSettings()


def test_the_example_of_the_docs_is_read(config) -> None:
    page = (Path(__file__).parents[3] / "docs" / "config-files.md").read_text(encoding="utf-8")
    example = "\n".join(line for line in page.splitlines() if line.startswith("    "))
    resolved = resolve_settings(config(textwrap.dedent(example)))
    assert resolved.settings == preset("early-digital", iterations=40, grain=True)
    assert resolved.by_face == {0: preset("classic"), 3: None}


def test_an_empty_file_says_nothing(config) -> None:
    for name, text in (("empty.toml", ""), ("empty.json", "{}")):
        assert resolve_settings(config(text, name)).settings == RestoreSettings()


@pytest.mark.parametrize("text", ["\ufeffgrain = true", "grain = true\r\n"], ids=["byte order mark", "CRLF"])
def test_files_of_other_systems_are_read(config, text: str) -> None:
    assert resolve_settings(config(text)).settings.grain


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(config) -> None:
    read = config('preset = "early-digital"\nlatent_step_decay = 0.05\niterations = 50')
    chosen = resolve_settings(read, {"iterations": 40}).settings
    assert chosen == preset("early-digital", latent_step_decay=0.05, iterations=40)
    other = resolve_settings(read, preset="ai-generated").settings
    assert other == preset("ai-generated", latent_step_decay=0.05, iterations=50)


def test_own_presets_stand_on_others(config) -> None:
    read = config(EVERYTHING)
    assert read.presets["gentle"] == PRESETS["early-digital"] | {"latent_step_decay": 0.03, "grain": True}
    assert "gentle" not in PRESETS
    plain = resolve_settings(Config(presets=read.presets), preset="soft").settings
    assert plain == preset("early-digital", latent_step_decay=0.03)


def test_a_face_has_its_own_settings_on_top_of_those_of_all(config) -> None:
    read = config(
        'preset = "early-digital"\niterations = 20\nbudget = 9\n'
        "[[faces]]\nface = 1\nlatent_step_decay = 0.1\n"
        '[[faces]]\nface = 0\npreset = "classic"\ngrain = true\n'
        "[[faces]]\nface = 4\nrestore = false\n"
    )
    resolved = resolve_settings(read, {"upscale": 2})
    common = {"budget": 9.0, "upscale": 2}
    assert resolved.settings == preset("early-digital", iterations=20, **common)
    assert resolved.by_face == {
        0: preset("classic", grain=True, **common),
        1: preset("early-digital", iterations=20, latent_step_decay=0.1, **common),
        4: None,
    }
    assert lines(resolved) == [
        "settings: degradation_scale 0, latent_step_decay 0.04, iterations 20, "
        "face_mask_weights eye=1.3,lip=1.3,cheek=1,forehead=0.8,other=0.7, budget 9, upscale 2",
        "settings of face 0: latent_step_decay 1, iterations 1, face_mask_weights all 1, eyes never, "
        "grain on",
        "settings of face 1: latent_step_decay 0.1",
        "settings of face 4: left out",
    ]


def test_the_command_line_wins_over_the_settings_of_a_face(config) -> None:
    read = config("[[faces]]\nface = 0\ngrain = true\ndegradation_scale = 0.5")
    own = resolve_settings(read, {"grain": False}).by_face[0]
    assert own == RestoreSettings(degradation_scale=0.5)


def test_paths_are_found_from_the_folder_of_the_file(config, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    assert config('model_path = "package"').run["model_path"] == str(tmp_path / "package")
    assert config('model_path = "default"').run["model_path"] == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latent_step = 0.1", "no setting 'latent_step'; did you mean latent_step_decay?"),
        ("xyzzy = 1", "no setting 'xyzzy'; there are strength, "),
        ('degradation_scale = "high"', "degradation_scale is 'high': give a number"),
        ("degradation_scale = 1.5", "degradation_scale is 1.5: give 0.3 to 1.2, or 0"),
        ("degradation_scale = nan", "degradation_scale is nan: give 0.3 to 1.2"),
        ("latent_step_decay = true", "latent_step_decay is true: give a number"),
        ("iterations = 2.5", "iterations is 2.5: give a whole number"),
        ("iterations = 0", "iterations is 0: give 1 to 1000"),
        ("iterations = 0x" + "f" * 500, "iterations is far too large"),
        ("grain = 1", "grain is 1: give true or false"),
        ("budget = -1", "budget is -1 seconds: give more than 0"),
        ("face_mask_weights = 1.3", "face_mask_weights is 1.3: give a table of numbers"),
        ("face_mask_weights = { chin = 1 }", "face_mask_weights: there is no face region 'chin'"),
        ("face_mask_weights = { eye = 3 }", "face_mask_weights: the weight of eye is 3.0: give 0"),
        ('face_mask_weights = { eye = "1" }', "face_mask_weights is a table: give a table of numbers"),
        ('face = "some"', "face is 'some': --face some: give all, largest, centre, numbers"),
        ("face = []", "face is (): give all, largest, centre, numbers"),
        ('faces = "all"', "the setting face chooses which are restored"),
        ("faces = [0, 2]", "the setting face chooses which are restored"),
        ("upscale = 3", "upscale is 3: give 1, 2 or 4"),
        ("template = 1979-05-27", "template is datetime.date(1979, 5, 27): give 'published' or 'ffhq'"),
        ("size = 256.5", "size is 256.5: give a whole number"),
        ('backend = "torch"', "backend is 'torch': give 'auto'"),
        ('device = "gpu"', "device is 'gpu': give cpu, or cuda:0"),
        ("threads = 0", "threads is 0: give 1 or more"),
        ('model_path = ""', "model_path cannot be a path"),
        ('model_path = "a\\u0000b"', "model_path cannot be a path"),
        ("based_on = 'classic'", "no setting 'based_on'"),
        ('preset = "vivid"', "preset is 'vivid': there is no such preset"),
        ('preset = "classik"', "did you mean classic?"),
        ("presets = 1", "presets is 1: give a table"),
        ("presets.mine = 1", "presets.mine: it is 1: give a table"),
        ("[presets.classic]", "presets.classic: there is a built-in preset of this name"),
        ('[presets.mine]\nbased_on = "your"', "presets.mine: based_on is 'your': there is no such preset"),
        ('[presets.a]\nbased_on = "b"\n[presets.b]\nbased_on = "a"', "presets.b: based_on is 'a', which"),
        ('[presets.a]\nbased_on = "a"', "presets.a: based_on is 'a', which is based on this one"),
        ("[presets.mine]\niterations = 0", "presets.mine: iterations is 0"),
        ("[presets.mine]\nsize = 3", "presets.mine: no setting 'size'"),
        ("[[faces]]", "faces[0]: face is missing"),
        ("faces = [{ face = 0 }, 3]", "faces[1]: it is 3: give a table"),
        ("[[faces]]\nface = -1", "faces[0]: face is -1: give the index"),
        ("[[faces]]\nface = 0\n[[faces]]\nface = 0", "faces[1]: face 0 has settings above"),
        ("[[faces]]\nface = 0\nupscale = 2", "faces[0]: upscale concerns the whole photo"),
        ("[[faces]]\nface = 0\nfaces = 'all'", "faces[0]: no setting 'faces'"),
        (
            "[[faces]]\nface = 0\npreset = 'x'\n[presets.x]\nbudget = 2",
            "preset 'x' sets budget, which concerns",
        ),
        ("[[faces]]\nface = 0\nrestore = 'no'", "faces[0]: restore is 'no': give true or false"),
        ("[[faces]]\nface = 0\npreset = 'no'", "faces[0]: preset is 'no': there is no such preset"),
        ("grain = ", "is not understood"),
        ("grain = true\ngrain = true", "is not understood"),
        ("a = " + "[" * 20000, "longer than 1000 characters"),
        ("a = " + "[\n" * 20000, "nested too deeply"),
        ("a." * 5000 + "a = 1", "longer than 1000 characters"),
        ("#" * (LARGEST_FILE + 1), "larger than 65536 bytes"),
        (b"grain = \xff", "not UTF-8 text"),
        ("grain = true".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_file(config, text: Any, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        config(text)
    message = str(raised.value)
    assert "config.toml" in message
    assert words in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "holds a list: give a table"),
        ("null", "holds null: give a table"),
        ('{"grain": true, "grain": false}', "grain is there twice"),
        ('{"budget": NaN}', "NaN is no JSON"),
        ('{"budget": Infinity}', "Infinity is no JSON"),
        ('{"budget": 1' + "0" * 400 + "}", "budget is a very large number: give a number"),
        ('{"iterations": 1' + "0" * 5000 + "}", "is not understood"),
        ('{"iterations": 1' + "0" * 4000 + "}", "iterations is far too large"),
        ('{"a": ' + "[" * 60000, "nested too deeply"),
        ('{"a":' * 10000, "nested too deeply"),
        ('{"preset": "\\ud800"}', "preset is '\\ud800': there is no such preset"),
        ('{"model_path": "\\ud800"}', "model_path cannot be a path"),
        ('{"\\ud800\\n": 1}', "no setting"),
        ('{"grain": null}', "grain is null: give true or false"),
        ("", "is not understood"),
    ],
)
def test_json_holds_no_surprise(config, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        config(text, "config.json")
    assert words in str(raised.value)
    assert str(raised.value).isprintable()


def test_files_that_are_not_there_or_no_config_are_refused(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.toml", r"none\.toml cannot be read: No such file"),
        (tmp_path, "neither TOML nor JSON"),
        (tmp_path / "config.yaml", r"end its name in \.toml or \.json"),
        (Path("a\0b.toml"), "cannot be read"),
    ):
        with pytest.raises(SettingsError, match=words):
            read_config(path)


def test_types_are_said_in_words() -> None:
    assert in_words(tuple[int, ...]) == "a list of whole numbers"
    assert in_words(float | None) == "a number"
    assert in_words(complex) == "another value"


NAMES = [*vars(RestoreSettings()), *RUN, "presets", "face", "based_on", "restore", "eye", "face"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([*PRESETS, "all", "largest", "ffhq", "cpu", "auto", 0.04, 0.5, 1]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)


def outcome(path: Path) -> str:
    """Read a file and take what it says; return what is said of it."""
    try:
        return lines(resolve_settings(read_config(path)))[0]
    except SettingsError as error:
        return str(error)


@settings(max_examples=40)
@given(table=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_any_table_becomes_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.json"
    path.write_text(json.dumps(table))
    assert outcome(path).isprintable()


@given(
    data=st.binary(max_size=40)
    | st.lists(
        st.sampled_from([*NAMES, *'[]{}=.,:"\n# ', "0.04", "true", "1e9", "-1", "nan"]), max_size=12
    ).map(lambda parts: "".join(parts).encode()),
    suffix=st.sampled_from([".toml", ".json"]),
)
def test_any_bytes_become_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes{suffix}"
    path.write_bytes(data)
    assert outcome(path).isprintable()
