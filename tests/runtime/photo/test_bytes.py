"""Photos as bytes: what a program gets over a network is read and given back without a file."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from base.errors import PhotoError
from runtime import Photo, Restorer, encode_photo, preset, read_photo, restore_photo, write_photo
from runtime.photo.source import PhotoSource
from runtime.photo.writer import OUTPUT_SUFFIXES

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@pytest.fixture
def photo(portrait: NDArray[np.uint8]) -> Photo:
    alpha = np.tile(np.arange(portrait.shape[1], dtype=np.uint8), (len(portrait), 1))
    exif = Image.Exif()
    exif[Base.Artist] = "A photographer"
    blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 2))  # a sharp face stays as it is
    return Photo(blurred, alpha, PhotoSource(exif=exif.tobytes(), dpi=(300.0, 300.0)))


@pytest.mark.parametrize("suffix", sorted(OUTPUT_SUFFIXES))
def test_bytes_are_those_of_the_file_and_are_read_as_it_is(tmp_path: Path, photo: Photo, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    write_photo(str(path), photo)
    data = encode_photo(photo, suffix)
    assert data == path.read_bytes()
    on_disk = read_photo(str(path))
    with path.open("rb") as file:
        for given in (data, bytearray(data), io.BytesIO(data), file):
            read = read_photo(given)
            assert np.array_equal(read.pixels, on_disk.pixels)
            assert (read.alpha is None) == (on_disk.alpha is None)
            assert replace(read.source, original=None) == replace(on_disk.source, original=None)


def test_sixteen_bits_and_pages_stay(portrait: NDArray[np.uint8]) -> None:
    deep = Photo(
        portrait.astype(np.uint16) * 257, None, PhotoSource(), pages=(Photo(portrait, None, PhotoSource()),)
    )
    again = read_photo(encode_photo(deep, "tiff"))
    assert again.pixels.dtype == np.uint16
    assert np.array_equal(again.pixels, deep.pixels)
    assert np.array_equal(again.pages[0].pixels, portrait)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "the photo is empty"),
        (b"no photo at all", "the photo is not a JPEG"),
        (io.BytesIO(), "the photo is empty"),
        (io.StringIO("text"), "open it with mode 'rb'"),
        ("no-such-photo.jpg", "no-such-photo.jpg does not exist"),
    ],
)
def test_what_is_no_photo_is_refused_in_a_line(given: object, message: str) -> None:
    with pytest.raises(PhotoError, match=message) as raised:
        read_photo(given)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_limits_hold_for_bytes_too(photo: Photo) -> None:
    data = encode_photo(photo, "png")
    with pytest.raises(PhotoError, match=r"0\.26.* megapixels"):
        read_photo(data, max_megapixels=0.1)
    with pytest.raises(PhotoError, match="megabytes, more than"):
        read_photo(io.BytesIO(bytes(65_000_000)), max_megapixels=0.001)


def test_a_cut_file_is_read_as_far_as_it_goes_on_request(photo: Photo) -> None:
    data = encode_photo(photo, "jpg")
    cut = data[: len(data) // 2]
    with pytest.raises(PhotoError, match="damaged or cut short"):
        read_photo(cut)
    assert read_photo(cut, accept_damaged=True).source.damaged


@pytest.mark.parametrize("suffix", ["", "xyz", ".heic", "png/../x"])
def test_an_unknown_format_is_refused(photo: Photo, suffix: str) -> None:
    with pytest.raises(PhotoError, match="no photo is written as"):
        encode_photo(photo, suffix)


def test_a_photo_in_which_nothing_changed_comes_back_byte_for_byte(tiny_package: Path) -> None:
    blank = Photo(np.full((80, 120, 3), 90, np.uint8), None, PhotoSource())
    data = encode_photo(blank, "jpg")
    with Restorer.open(tiny_package, threads=1) as restorer:
        restored, result = restore_photo(restorer, read_photo(data))
    assert result.faces == ()
    assert encode_photo(restored, "jpg") == data
    assert encode_photo(restored, "png") != data


def test_pages_alpha_and_metadata_go_along(tiny_package: Path, photo: Photo) -> None:
    read = read_photo(encode_photo(replace(photo, pages=(replace(photo, alpha=None),)), "tif"))
    with Restorer.open(tiny_package, threads=1) as restorer:
        restored, result = restore_photo(restorer, read, preset("classic"), {0: preset("film-scan")})
        bare, _ = restore_photo(restorer, read, strip_metadata=True)
    assert len(result.pages) == 1
    again, stripped = (read_photo(encode_photo(each, "tif")) for each in (restored, bare))
    assert again.alpha is not None
    assert np.array_equal(again.pixels, result.photo)
    assert np.array_equal(again.pages[0].pixels, result.pages[0].photo)
    assert not np.array_equal(again.pixels, photo.pixels)
    assert b"A photographer" in (again.source.exif or b"")
    assert b"A photographer" not in (stripped.source.exif or b"")


def test_the_library_does_not_need_the_command_line() -> None:
    code = (
        "import runtime, sys; print([name for name in ('argparse', 'rich', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
