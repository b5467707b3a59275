"""`python -m runtime.restore`: a photo ends well, or with one clear line, exit 2 and nothing half-written."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.restore import main

pytestmark = pytest.mark.usefixtures("any_colours")

Pixels = NDArray[np.uint8]


@pytest.fixture
def restore(tiny_package: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run the command line in this process: returns the status and stderr but settings and backend.

    The tiny network's crops are coarser than any photo, and that it says so is left out too.
    """

    def run(*arguments: object) -> tuple[int, list[str]]:
        status = main([*map(str, arguments), "--model", str(tiny_package)])
        lines = capsys.readouterr().err.splitlines()
        told = [line for line in lines if not line.startswith(("settings", "backend: "))]
        return status, [line for line in told if ": face-larger-than-model: " not in line]

    return run


def save(pixels: Pixels, path: Path, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def assert_refused(outcome: tuple[int, list[str]], *words: str) -> None:
    status, lines = outcome
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def assert_nothing_left(folder: Path, *expected: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)


def test_a_photo_is_restored_with_sheet_and_report(restore, portrait_file: Path, tmp_path: Path) -> None:
    out, sheet, report = tmp_path / "out.png", tmp_path / "sheet.png", tmp_path / "report.json"
    status, lines = restore(portrait_file, "-o", out, "--compare", sheet, "--report", report)
    (line,) = lines
    assert status == 0
    assert "another-person" in line
    before, after = np.array(Image.open(portrait_file)), np.array(Image.open(out))
    assert before.shape == after.shape
    assert not np.array_equal(before, after)
    assert np.array_equal(before[-40:], after[-40:])
    told = json.loads(report.read_text())
    (photo,) = told["photos"]
    (face,) = photo["faces"]
    assert told["backend"] == "onnxruntime"
    assert told["settings"]["upscale"] == 1
    assert photo["output"] == str(out)
    stages = {"read", "detect", "mesh", "align", "regions", "tone", "network", "paste", "identity", "write"}
    assert set(photo["milliseconds"]) == stages
    assert (face["index"], face["passes"]) == (0, 5)
    assert [warning["code"] for warning in face["warnings"]] == ["another-person"]
    assert (face["progress"], len(face["latent_changes"])) == (0.9576, 4)
    assert face["box"][0] < face["landmarks"][0][0] < face["box"][2]
    assert Image.open(sheet).width > 1400


def test_it_runs_as_a_program_without_torch_or_onnx(
    portrait_file: Path, tiny_package: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from runtime.restore import main; status = main(sys.argv[1:]); "
        "heavy = {'torch', 'onnx', 'polygraphy'} & set(sys.modules); sys.exit(status or len(heavy))"
    )
    arguments = [portrait_file, "-o", tmp_path / "out.png", "--model", tiny_package]
    assert subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode == 0


def test_the_command_line_wins_over_the_preset(restore, portrait_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status, lines = restore(
        *(portrait_file, "-o", tmp_path / "out.png", "--report", report, "--masks", tmp_path / "masks.png"),
        *("--preset", "early-digital", "--latent-step-decay", "0.02", "--iterations", "20", "--grain"),
        *("--degradation-scale", "1.15", "--face-mask-weights", "eye=0.5"),
    )
    assert status == 0
    assert [line.split(": ")[2] for line in lines] == ["hallucination-risk", "slow-convergence"]
    settings = json.loads(report.read_text())["settings"]
    assert settings["latent_step_decay"] == 0.02
    assert settings["degradation_scale"] == 1.15
    assert settings["face_mask_weights"] == {"eye": 0.5}
    assert settings["grain"] is True
    assert Image.open(tmp_path / "masks.png").width > 300


def test_an_output_that_ends_in_a_slash_is_a_folder(restore, portrait_file: Path, tmp_path: Path) -> None:
    assert restore(portrait_file, "-o", f"{tmp_path}/new/deep/") == (0, [])
    assert_nothing_left(tmp_path / "new" / "deep", portrait_file.name)
    assert_refused(restore(portrait_file, "-o", f"{portrait_file}/"), "cannot make the folder")
    assert_refused(restore(portrait_file, "-o", tmp_path / "other"), "has no known suffix")


def test_strength_is_said_on_the_command_line_and_in_the_report(
    restore, portrait_file: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in ("none.png", "light.png", "full.png")]
    report = tmp_path / "report.json"
    for out, strength in zip(outs, ("0", "0.2", "1"), strict=True):
        options = ("--strength", strength, "--report", report, "--overwrite")
        assert restore(portrait_file, "-o", out, *options)[0] == 0
        told = json.loads(report.read_text())
        assert told["settings"]["strength"] == float(strength)
    assert outs[0].read_bytes() == portrait_file.read_bytes()
    before, light, full = (np.array(Image.open(path)).astype(int) for path in (portrait_file, *outs[1:]))
    assert np.abs(light - before).sum() < 0.3 * np.abs(full - before).sum()
    assert_refused(restore(portrait_file, "-o", outs[0], "--strength", "2"), "strength is 2: give 0 to 1")


def test_several_photos_go_to_a_folder(restore, portrait: Pixels, tmp_path: Path) -> None:
    photos = [save(portrait[::2, ::2], tmp_path / f"{i}.jpg") for i in range(2)]
    status, _ = restore(*photos, "-o", tmp_path / "out", "--compare", tmp_path / "sheets")
    assert status == 0
    assert_nothing_left(tmp_path / "out", "0.jpg", "1.jpg")
    assert_nothing_left(tmp_path / "sheets", "0.jpg.png", "1.jpg.png")


def test_several_photos_do_not_go_to_a_file(restore, portrait_file: Path, tmp_path: Path) -> None:
    other, notes = tmp_path / "b.png", tmp_path / "notes"
    other.write_bytes(portrait_file.read_bytes())
    notes.write_text("mine")
    for output in (tmp_path / "out.jpg", notes):
        assert_refused(restore(portrait_file, other, "-o", output, "--overwrite"), "go into a folder")
    assert notes.read_text() == "mine"
    assert not (tmp_path / "out.jpg").exists()
    assert restore(portrait_file, other, "-o", f"{tmp_path}/out.jpg/")[0] == 0


def test_an_unset_variable_in_place_of_a_path_is_refused(
    restore, portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    own = folder / portrait_file.name
    own.write_bytes(portrait_file.read_bytes())
    monkeypatch.chdir(folder)
    assert_refused(restore("", "-o", tmp_path / "out", "--overwrite"), "PHOTO is empty")
    assert_refused(restore(own.name, "-o", "", "--overwrite"), "-o/--output is empty")
    assert own.read_bytes() == portrait_file.read_bytes()


def test_a_folder_of_photos_goes_to_a_folder_and_bad_ones_are_named(
    restore, portrait: Pixels, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save(portrait[::2, ::2], folder / "good.jpg")
    (folder / "bad.jpg").write_text("not a picture")
    (folder / "notes.txt").write_text("no photo at all")
    status, lines = restore(folder, "-o", tmp_path / "out", "--report", tmp_path / "report.json")
    assert status == 3
    assert any("failed" in line and "bad.jpg" in line for line in lines)
    assert_nothing_left(tmp_path / "out", "good.jpg")
    entries = json.loads((tmp_path / "report.json").read_text())["photos"]
    assert [("error" in entry) for entry in entries] == [True, False]


def test_photos_of_one_name_are_numbered(restore, tmp_path: Path) -> None:
    for i, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        save(np.full((20, 30, 3), i, np.uint8), tmp_path / folder / "x.png")
    photos = (tmp_path / "a/x.png", tmp_path / "b/x.png", tmp_path / "a/x.png")
    status, lines = restore(*photos, "-o", tmp_path / "out", "--compare", tmp_path / "sheets")
    assert status == 0
    assert [line.split(":")[0] for line in lines[:2]] == [str(photos[0]), str(photos[1])]
    assert_nothing_left(tmp_path / "out", "x.png", "x-2.png")
    assert_nothing_left(tmp_path / "sheets", "x.png.png", "x.png-2.png")
    assert np.array(Image.open(tmp_path / "out/x-2.png")).max() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_text("hello"), "not a JPEG"),
        (lambda path: path.write_bytes(_jpeg()[:4000]), "cut short"),
    ],
    ids=["missing", "empty", "text", "truncated"],
)
def test_what_is_not_a_photo_is_refused(restore, tmp_path: Path, make, words: str) -> None:
    photo = tmp_path / "photo.jpg"
    make(photo)
    before = [path.name for path in tmp_path.iterdir()]
    assert_refused(restore(photo, "-o", tmp_path / "out.jpg"), words)
    assert_nothing_left(tmp_path, *before)


def test_an_empty_folder_in_place_of_a_photo_is_refused(restore, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").mkdir()
    assert_refused(restore(tmp_path / "photo.jpg", "-o", tmp_path / "out"), "holds no photo")
    assert_nothing_left(tmp_path, "photo.jpg")


@pytest.mark.parametrize("shape", [(1, 1), (20, 30_000), (64, 64)], ids=["one pixel", "strip", "no face"])
def test_photos_without_a_face_come_back_unchanged(restore, tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    photo = save(pixels, tmp_path / "photo.png")
    status, lines = restore(photo, "-o", tmp_path / "out.png")
    assert status == 0
    assert lines == ["photo.png: no face found; nothing was restored"]
    assert np.array_equal(np.array(Image.open(tmp_path / "out.png")), pixels)


def test_two_hundred_megapixels_are_refused_unless_allowed(
    restore, portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "huge.png"
    Image.new("1", (20_000, 10_000)).save(photo, compress_level=1)
    assert_refused(restore(photo, "-o", tmp_path / "out.png"), "200 megapixels", "--max-megapixels")
    assert_nothing_left(tmp_path, "huge.png", portrait_file.name)
    # Allowed with a smaller photo, which Pillow by itself would refuse as it does the larger one.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    options = (portrait_file, "-o", tmp_path / "out.png", "--max-megapixels")
    assert_refused(restore(*options, 0.2), "0.2621 megapixels", "--max-megapixels")
    assert restore(*options, 0.3)[0] == 0
    assert (tmp_path / "out.png").exists()


def test_upscaling_beyond_the_limit_is_refused(restore, portrait_file: Path, tmp_path: Path) -> None:
    outcome = restore(portrait_file, "-o", tmp_path / "out.png", "--upscale", 4, "--max-megapixels", 4)
    assert_refused(outcome, "--upscale 4 would make 4.194 megapixels")


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "1"])
def test_every_colour_mode_is_restored(restore, portrait: Pixels, tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    photo = tmp_path / f"photo.{suffix}"
    options = {"transparency": 3} if mode == "P" else {}
    Image.fromarray(portrait).convert(mode).save(photo, **options)
    out = tmp_path / f"out.{suffix}"
    status, _ = restore(photo, "-o", out)
    assert status == 0
    kept = {"L": "L", "RGBA": "RGBA", "LA": "LA", "P": "RGBA", "CMYK": "RGB", "1": "L"}[mode]
    with Image.open(out) as written:
        assert (written.mode, written.size) == (kept, (512, 512))


def test_sixteen_bit_png_stays_sixteen_bit(restore, portrait: Pixels, tmp_path: Path) -> None:
    photo = tmp_path / "deep.png"
    Image.fromarray(portrait[..., 0].astype(np.uint16) * 257).save(photo)
    status, _ = restore(photo, "-o", tmp_path / "out.png")
    assert status == 0
    assert np.array(Image.open(tmp_path / "out.png")).dtype == np.uint16


def test_exif_rotation_is_applied_once(restore, portrait: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    blurred = cv2.GaussianBlur(portrait[:, :400], (0, 0), 2)
    photo = save(np.rot90(blurred), tmp_path / "turned.jpg", exif=exif, quality=95)
    status, _ = restore(photo, "-o", tmp_path / "out.jpg", "--report", tmp_path / "r.json")
    assert status == 0
    assert len(json.loads((tmp_path / "r.json").read_text())["photos"][0]["faces"]) == 1
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.size == (400, 512)
        assert out.getexif().get(0x0112, 1) == 1


def test_the_photo_itself_is_never_overwritten_unasked(restore, portrait_file: Path) -> None:
    before = portrait_file.read_bytes()
    assert_refused(restore(portrait_file, "-o", portrait_file), "is the photo itself", "--overwrite")
    assert portrait_file.read_bytes() == before
    status, _ = restore(portrait_file, "-o", portrait_file, "--overwrite")
    assert status == 0
    assert portrait_file.read_bytes() != before


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("missing/out.jpg", "does not exist"),
        ("out.xyz", "no known suffix"),
        ("out", "no known suffix"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    restore, portrait_file: Path, tmp_path: Path, output: str, words: str
) -> None:
    assert_refused(restore(portrait_file, "-o", tmp_path / output), words)
    assert_nothing_left(tmp_path, "portrait.png")


def test_an_output_folder_that_may_not_be_written_to_is_refused(restore, portrait_file: Path) -> None:
    # Not even the superuser may write here.
    assert_refused(restore(portrait_file, "-o", Path("/proc/out.png")), "/proc/out.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--face", "none"], "--face none"),
        (["--face", "0\nsaved"], "--face 0\\nsaved"),
        (["--face", "3"], "no face 3"),
        (["--detector", "missing.onnx"], "missing.onnx"),
        (["--max-megapixels", "nan"], "--max-megapixels is nan"),
        (["--threads", "0"], "threads is 0"),
        (["--report", "missing/r.json"], "missing/r.json"),
        (["--masks", "missing/m.png"], "missing/m.png"),
        (["--latent-step-decay", "0.5"], "latent_step_decay"),
        (["--face-mask-weights", "chin=1"], "chin"),
        (["--face-mask-weights", "eye=much"], "eye"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    restore, portrait_file: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    assert_refused(restore(portrait_file, "-o", tmp_path / "out.png", *arguments), words)
    assert_nothing_left(tmp_path, "portrait.png")


def test_a_missing_package_is_refused(portrait_file: Path, tmp_path: Path, capsys) -> None:
    status = main([str(portrait_file), "-o", str(tmp_path / "o.png"), "--model", str(tmp_path / "none")])
    assert_refused((status, capsys.readouterr().err.splitlines()), "no package")


def test_a_package_without_a_grant_is_refused_where_commercial_use_is_asked_for(
    restore, portrait_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    refused = restore(portrait_file, "-o", out, "--licence-check", "commercial")
    assert_refused(
        refused, "no licence that is known to grant commercial use (restoration weights: none granted"
    )
    assert_nothing_left(tmp_path, "portrait.png")


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def test_settings_come_from_a_file_and_are_said(
    tiny_package: Path, portrait_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, report = tmp_path / "kiosk.toml", tmp_path / "report.json"
    config.write_text(
        f'model_path = "{tiny_package}"\nsize = 64\nchannel_multiplier = 1\npreset = "mine"\nbudget = 600\n'
        '[presets.mine]\nbased_on = "ai-generated"\ngrain = true\n'
        "[[faces]]\nface = 0\ndegradation_scale = 0.5\n"
        "[[faces]]\nface = 3\nrestore = false\n"
    )
    out = tmp_path / "out.png"
    assert main([*map(str, (portrait_file, "-o", out, "--config", config, "--report", report))]) == 0
    assert capsys.readouterr().err.splitlines()[:3] == [
        "settings: degradation_scale 0, latent_step_decay 0.02, iterations 30, "
        "face_mask_weights eye=1.5,ear=1.5, grain on, budget 600",
        "settings of face 0: degradation_scale 0.5",
        "settings of face 3: left out",
    ]
    told = json.loads(report.read_text())
    assert told["package"]["folder"] == str(tiny_package)
    assert told["settings"]["grain"] is True
    assert told["settings_by_face"]["0"] == told["settings"] | {"degradation_scale": 0.5}
    assert told["settings_by_face"]["3"] is None


def test_settings_of_a_face_that_is_not_there_are_said(restore, portrait_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.json"
    config.write_text('{"faces": [{"face": 3, "grain": true}], "budget": 600}')
    status, lines = restore(portrait_file, "-o", tmp_path / "out.png", "--config", config)
    assert (status, lines) == (
        0,
        ["portrait.png: settings were given for face 3, but the photo has only 1 face"],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 512", "size is 512, but the package tiny64 has 64"),
        ("channel_multiplier = 7", "channel_multiplier is 7, but the package tiny64 has"),
        ("grian = true", "did you mean grain?"),
        ('device = "cuda:7"', "cuda:7"),
        ('device = "gpu"', "give cpu, or cuda:0"),
    ],
)
def test_a_config_file_that_does_not_fit_is_refused(
    restore, portrait_file: Path, tmp_path: Path, text: str, words: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    assert_refused(restore(portrait_file, "-o", tmp_path / "out.png", "--config", config), words)
    assert_nothing_left(tmp_path, "c.toml", "portrait.png")


def test_faces_are_listed_and_presets_compared_without_restoring(
    tiny_package: Path, portrait_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets = ["--list-faces", tmp_path / "faces.png", "--compare-presets", tmp_path / "presets.png"]
    assert main([*map(str, (portrait_file, *sheets, "--model", tiny_package))]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["face", "0"]
    assert_nothing_left(tmp_path, "faces.png", "portrait.png", "presets.png")


def test_a_photo_without_faces_has_none_to_list_or_compare(restore, tmp_path: Path) -> None:
    photo = save(np.full((40, 40, 3), 9, np.uint8), tmp_path / "photo.png")
    sheets = ["--list-faces", tmp_path / "faces.png", "--compare-presets", tmp_path / "presets.png"]
    status, lines = restore(photo, *sheets)
    assert (status, lines) == (0, ["photo.png: no face found that would be restored"])
    assert_nothing_left(tmp_path, "faces.png", "photo.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nowhere to write to: give -o OUT"),
        (["--list-faces", "portrait.png"], "is the photo itself"),
        (["--list-faces", "there.png"], "exists"),
        (["--compare-presets", "sheet.jpg"], "end its name in .png"),
        (["--compare-presets", "none/sheet.png"], "does not exist"),
        (["--list-faces", "sheet.png", "--masks", "masks.png"], "--masks shows what was restored"),
        (["portrait.png", "--list-faces", "sheet.png"], "--list-faces shows one photo"),
        (["-o", "out.png", "--config", "none.toml"], "cannot be read"),
        (["-o", "out.png", "--preset", "vivid"], "no preset 'vivid': there are standard, classic"),
    ],
)
def test_looking_at_what_makes_no_sense_is_refused(
    restore, portrait_file: Path, tmp_path: Path, monkeypatch, arguments: list[str], words: str
) -> None:
    (tmp_path / "there.png").touch()
    monkeypatch.chdir(tmp_path)
    assert_refused(restore(portrait_file.name, *arguments), words)
    assert_nothing_left(tmp_path, "portrait.png", "there.png")
