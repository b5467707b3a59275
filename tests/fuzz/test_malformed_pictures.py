"""Whatever has become of a picture, there is a photo or one line of error, soon and in bounded memory."""

import io
import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from base import command_line
from base.errors import PhotoError
from runtime import restore
from runtime.photo.bombs import MOST_SCANS, WithinFile
from runtime.photo.reader import read_photo
from runtime.photo.writer import write_photo
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.pictures import HEIGHT, WIDTH, avif_pictures, pictures, png_chunk
from tests.fuzz.trial import MEGAPIXELS

ROOT = Path(__file__).parents[2]
PICTURES = pictures() | avif_pictures()
SUFFIXES = {
    "jpeg": ".jpg",
    "gif": ".gif",
    "bmp": ".bmp",
    "heif": ".heic",
    "png": ".png",
    "tiff": ".tif",
    "webp": ".webp",
} | ({"avif": ".avif"} if features.check("avif") else {})
SEEDS = 4
SIDE = int((MEGAPIXELS * 1e6) ** 0.5)


def mutants() -> dict[str, bytes]:
    """Every picture, damaged in every way, with several seeds."""
    return {
        f"{name} {mutate.__name__} {seed}": mutate(data, random.Random(f"{name} {mutate.__name__} {seed}"))
        for name, data in PICTURES.items()
        for mutate in MUTATIONS
        for seed in range(SEEDS)
    }


MUTANTS = mutants()


def largest_allowed() -> dict[str, bytes]:
    """Pictures that take most memory, each as large as the trial allows."""
    image = Image.new("RGBA", (SIDE, SIDE), (200, 100, 50, 128))
    deep = np.full((SIDE, SIDE, 4), 999, np.uint16)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    found = {
        "deep.png": b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0))
        + b"".join(png_chunk(*part) for part in ((b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")))
    }
    for name, kind, picture, options in (
        ("a.webp", "WEBP", image, {"lossless": True, "method": 0}),
        ("cmyk.jpg", "JPEG", image.convert("RGB").convert("CMYK"), {}),
        ("lab.tif", "TIFF", Image.new("LAB", image.size, (90, 0, 0)), {"compression": "tiff_lzw"}),
        ("palette.gif", "GIF", image.convert("P"), {}),
        ("float.tif", "TIFF", Image.new("F", image.size, 0.5), {}),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        found[name] = buffer.getvalue()
    return found


def tried(folder: Path, files: dict[str, bytes]) -> dict[str, dict[str, object]]:
    """Put files through the reader in a process with hard limits; return the answer for each."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.trial", folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    answers = {answer["name"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    unanswered = sorted(files.keys() - answers.keys())
    assert not unanswered, f"ended at {unanswered[0]}: {done.returncode} {done.stderr[-500:]}"
    return answers


def test_there_are_hundreds_of_mutants_of_every_format_and_always_the_same() -> None:
    assert len(set(MUTANTS.values()) - set(PICTURES.values())) >= 600
    assert {name.partition("-")[0] for name in MUTANTS} == SUFFIXES.keys()
    assert mutants() == MUTANTS


def test_a_malformed_picture_is_read_or_refused_within_time_and_memory(tmp_path: Path) -> None:
    answers = tried(tmp_path / "mutants", MUTANTS)
    crashed = {name: answer for name, answer in answers.items() if "crash" in answer}
    assert crashed == {}
    for name, answer in answers.items():
        if "error" in answer:
            assert str(answer["error"]).isprintable()
            assert name in str(answer["error"])
            assert "MemoryError" not in answer["behind"], answer
    read = sum("shape" in answer for answer in answers.values())
    assert len(answers) // 10 < read < len(answers) * 9 // 10  # neither nothing damaged nor nothing left


def test_a_picture_as_large_as_allowed_stays_within_the_documented_memory(tmp_path: Path) -> None:
    answers = tried(tmp_path / "large", largest_allowed())
    for answer in answers.values():
        assert answer.get("shape") == [SIDE, SIDE, 3], answer


def test_what_was_read_of_a_malformed_picture_can_be_written(tmp_path: Path) -> None:
    path, written = tmp_path / "photo", 0
    for data in list(MUTANTS.values())[:: 2 * SEEDS + 1]:
        path.write_bytes(data)
        try:
            photo = read_photo(path, max_megapixels=0.02)
        except PhotoError:
            continue
        for suffix in (".jpg", ".png", ".tif", ".webp"):
            write_photo(tmp_path / f"written{suffix}", photo, overwrite=True)
            written += 1
    assert written >= 100


@pytest.mark.filterwarnings("ignore")
def test_malformed_pictures_leave_whole_outputs_or_none(
    tmp_path: Path, tiny_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    output.mkdir()
    for i, (name, data) in enumerate(list(MUTANTS.items())[3::29]):
        (photos / f"{i}{SUFFIXES[name.partition('-')[0]]}").write_bytes(data)
    (photos / "whole.png").write_bytes(PICTURES["png-deep"])
    settings = ["--model", str(tiny_package), "--threads", "1", "--max-megapixels", "1"]
    status = restore.main([str(photos), "-o", str(output), *settings])
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed:")]
    assert status == command_line.SOME_FAILED
    pillow_heif.register_heif_opener()
    for path in output.rglob("*"):
        with Image.open(path) as image:
            image.load()
    whole, all_photos = len(list(output.iterdir())), len(list(photos.iterdir()))
    assert whole + len(told) == all_photos
    assert min(whole, len(told)) >= 3
    assert (output / "whole.png").exists()
    assert not list(output.rglob(".*"))


def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    whole = PICTURES["png-alpha"]
    at = whole.index(b"IDAT") - 4
    path.write_bytes(whole[:at] + struct.pack(">I", 2**31 - 1) + whole[at + 4 :])
    assert read_photo(path).alpha is not None  # every pixel is there
    with WithinFile(path) as file:
        assert file.read(1 << 60) == path.read_bytes()


def endless_jpeg(scans: int) -> bytes:
    """A progressive JPEG that draws its last scan again and again."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_of_endless_scans_is_refused_and_one_of_many_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(endless_jpeg(MOST_SCANS))
    assert read_photo(path).pixels.shape == (64, 64, 3)
    hidden = b"\xff\xfe\0\6\xff\xd9\xff\xd9"  # a comment that looks like the end
    for data in (endless_jpeg(MOST_SCANS + 1), endless_jpeg(5000)):
        for content in (data, data[:2] + hidden + data[2:], data[:-2]):
            path.write_bytes(content)
            with pytest.raises(PhotoError, match="more than 100 scans"):
                read_photo(path)


def test_scans_of_what_follows_the_first_picture_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(PICTURES["jpeg-grey-progressive"] + b"\xff\xda" * 500)
    assert read_photo(path).pixels.shape == (HEIGHT, WIDTH, 3)


def test_a_webp_that_claims_a_huge_canvas_is_refused_before_allocation(tmp_path: Path) -> None:
    side = (13000 - 1).to_bytes(3, "little")
    picture = PICTURES["webp-lossless"]
    frames = (
        b"ANIM"
        + struct.pack("<I6x", 6)
        + b"ANMF"
        + struct.pack("<I16x", 16 + len(picture[12:]))
        + picture[12:]
    )
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + side * 2 + frames
    answers = tried(tmp_path / "bombs", {"bomb.webp": b"RIFF" + struct.pack("<I", len(body)) + body})
    assert "169 megapixels" in str(answers["bomb.webp"]["error"])
    assert answers["bomb.webp"]["behind"] == ["PhotoError"]
