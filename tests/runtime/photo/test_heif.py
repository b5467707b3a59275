"""Reading what iPhones write."""

import builtins
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from base.errors import PhotoError
from runtime.commands.output_names import output_name
from runtime.photo.reader import read_photo
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.photo.writer import write_photo

RNG = np.random.default_rng(3)
RGB = cv2.resize(RNG.integers(0, 256, (6, 8, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
ORIENTATION, MAKE = 0x0112, 0x010F


def save(path: Path, pixels: np.ndarray = RGB, **options: object) -> Path:
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=-1, chroma=444, **options)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "phone.heic")


def test_the_pixels_are_those_of_the_photo(photo: Path) -> None:
    read = read_photo(photo)
    assert read.source.format == "HEIF"
    assert read.alpha is None
    assert np.abs(read.pixels.astype(int) - RGB).mean() < 1
    assert output_name(photo) == "phone.jpg"


def test_it_is_read_upright_and_turned_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Kiosk"  # the library stores 6 as the turn of the picture itself
    turned = np.ascontiguousarray(np.rot90(RGB))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    heif = pillow_heif.from_pillow(Image.fromarray(turned))
    heif.save(tmp_path / "a.heic", quality=-1, chroma=444, exif=exif.tobytes(), icc_profile=profile)
    read = read_photo(tmp_path / "a.heic")
    assert read.pixels.shape == RGB.shape
    assert np.abs(read.pixels.astype(int) - RGB).mean() < 1
    write_photo(tmp_path / "a.jpg", read)
    with Image.open(tmp_path / "a.jpg") as written:
        assert (written.getexif()[ORIENTATION], written.getexif()[MAKE]) == (1, "Kiosk")
        assert written.info["icc_profile"] == profile


@pytest.mark.parametrize(
    "said", ["tiff:Orientation='6'", 'tiff:Orientation="6"', "><tiff:Orientation>6</tiff:Orientation></rdf:x"]
)
def test_an_orientation_in_its_xmp_turns_it_no_further(tmp_path: Path, said: str) -> None:
    xmp = f"<x:xmpmeta><rdf:x {said}></x:xmpmeta>".encode()
    heif = pillow_heif.from_pillow(Image.fromarray(RGB))
    heif.info["xmp"] = xmp
    heif.save(tmp_path / "a.heic", quality=-1, chroma=444)
    opened = pillow_heif.open_heif(tmp_path / "a.heic")
    assert b"Orientation" in opened.info["xmp"]
    read = read_photo(tmp_path / "a.heic")
    assert read.pixels.shape[:2] == opened.size[::-1]
    if read.source.xmp:
        assert b"6" not in read.source.xmp.split(b"Orientation", 1)[-1][:3]


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"mif1", b"MiHE"])
def test_every_brand_of_heic_is_read(photo: Path, brand: bytes) -> None:
    whole = photo.read_bytes()
    assert whole[4:8] == b"ftyp"
    photo.write_bytes(whole[:8] + brand + whole[12:])
    assert read_photo(photo).pixels.shape == RGB.shape


@pytest.mark.parametrize("name", ["DSC00001.HIF", "dsc00001.hif", "a.HEIC", "b.Heif"])
def test_cameras_names_are_those_of_photos(name: str) -> None:
    assert Path(name).suffix.lower() in SUPPORTED_SUFFIXES
    assert output_name(Path(name)) == f"{Path(name).stem}.jpg"


def test_messages_of_its_decoder_stand_on_one_line(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:200])
    with pytest.raises(PhotoError) as error:
        read_photo(photo)
    assert str(error.value).isprintable()
    assert "\\n" not in str(error.value)


def test_alpha_is_kept(tmp_path: Path) -> None:
    alpha = np.full((*RGB.shape[:2], 1), 200, np.uint8)
    read = read_photo(save(tmp_path / "a.heif", np.concatenate([RGB, alpha], axis=2)))
    assert read.alpha is not None
    assert np.abs(read.alpha.astype(int) - 200).max() <= 2


def test_one_too_large_is_refused_before_it_is_decoded(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(PhotoError, match=r"0\.006144 megapixels"):
        read_photo(photo, max_megapixels=0.006)


def test_without_the_library_it_says_what_to_do(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: object) -> object:
        if name == "pillow_heif":
            raise ImportError
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(PhotoError, match="HEIC picture: pip install pillow-heif, or save it as JPEG"):
        read_photo(photo)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_one_cut_short_is_refused(photo: Path, share: float) -> None:
    whole = photo.read_bytes()
    photo.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(PhotoError, match=r"phone\.heic is "):
        read_photo(photo)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=8))
def test_a_damaged_one_is_refused_or_read(photo: Path, flips: list[tuple[float, int]]) -> None:
    whole = photo.read_bytes()
    damaged = bytearray(whole)
    for place, flip in flips:
        damaged[int(place * len(whole))] ^= flip
    photo.write_bytes(damaged)
    with suppress(PhotoError):
        assert read_photo(photo, max_megapixels=1).pixels.size
    photo.write_bytes(whole)
