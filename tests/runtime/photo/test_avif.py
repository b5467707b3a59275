"""Reading AVIF, as Pillow's wheels do."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from base.errors import PhotoError
from runtime.commands.output_names import output_name
from runtime.photo.boxes import colour_codes
from runtime.photo.reader import read_photo
from runtime.photo.source import profile_of
from runtime.photo.writer import write_photo

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")

RNG = np.random.default_rng(3)
RGB = cv2.resize(RNG.integers(0, 256, (6, 8, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
ORIENTATION, MAKE = 0x0112, 0x010F
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save(path: Path, pixels: np.ndarray = RGB, **options: object) -> Path:
    Image.fromarray(pixels).save(path, "AVIF", quality=100, subsampling="4:4:4", **options)
    return path


def with_codes(path: Path, primaries: int, transfer: int) -> Path:
    """Change the codes in an AVIF's nclx box."""
    content = path.read_bytes()
    at = content.index(b"colrnclx") + 8
    path.write_bytes(content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :])
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "web.avif")


def test_the_pixels_are_those_of_the_photo(photo: Path) -> None:
    read = read_photo(photo)
    assert read.source.format == "AVIF"
    assert read.alpha is None
    assert profile_of(read.source) is None
    assert read.source.parts == ()
    assert np.abs(read.pixels.astype(int) - RGB).mean() < 1.5
    assert output_name(photo) == "web.jpg"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_upright_once(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Kiosk"
    jpeg = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(jpeg, quality=100, subsampling=0, exif=exif)
    read = read_photo(save(tmp_path / "a.avif", exif=exif, icc_profile=SRGB))
    assert np.abs(read.pixels.astype(int) - read_photo(jpeg).pixels).mean() < 2
    write_photo(tmp_path / "b.jpg", read)
    with Image.open(tmp_path / "b.jpg") as written:
        assert (written.getexif().get(ORIENTATION, 1), written.getexif()[MAKE]) == (1, "Kiosk")
        assert written.info["icc_profile"] == SRGB


def test_an_orientation_in_its_xmp_turns_it_no_further(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:x tiff:Orientation="6"/></x:xmpmeta>'
    read = read_photo(save(tmp_path / "a.avif", xmp=xmp))
    assert read.pixels.shape == RGB.shape
    assert read.source.xmp == xmp.replace(b'"6"', b'"1"')


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp"])
def test_one_without_a_profile_gets_one_of_its_own_colours(photo: Path, tmp_path: Path, suffix: str) -> None:
    read = read_photo(with_codes(photo, 12, 13))  # Display P3
    write_photo(tmp_path / f"out{suffix}", read)
    with Image.open(tmp_path / f"out{suffix}") as written:
        profile = written.info["icc_profile"]
    assert profile == profile_of(read.source)
    red = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.red_primary
    assert red is not None
    assert red[1][:2] == pytest.approx((0.68, 0.32), abs=0.005)


def test_its_codes_become_a_chunk_of_a_png(photo: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "out.png", read_photo(with_codes(photo, 9, 16)))  # BT.2020, PQ
    assert b"cICP" + bytes([9, 16, 0, 1]) in (tmp_path / "out.png").read_bytes()


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (999, 13)])
def test_srgb_and_unknown_codes_ask_for_no_profile(photo: Path, primaries: int, transfer: int) -> None:
    assert profile_of(read_photo(with_codes(photo, primaries, transfer)).source) is None


def test_codes_of_a_file_that_is_cut_short_are_none(photo: Path) -> None:
    whole = photo.read_bytes()
    start = whole.index(b"mdat")
    assert colour_codes(whole) == (1, 13)
    assert all(colour_codes(whole[:length]) is None for length in range(0, start, 7))


def test_alpha_and_grey_are_kept(tmp_path: Path) -> None:
    alpha = np.full((*RGB.shape[:2], 1), 200, np.uint8)
    read = read_photo(save(tmp_path / "a.avif", np.concatenate([RGB, alpha], axis=2)))
    assert read.alpha is not None
    assert np.abs(read.alpha.astype(int) - 200).max() <= 2
    grey = read_photo(save(tmp_path / "b.avif", RGB[..., 0]))
    assert np.abs(grey.pixels.astype(int) - RGB[..., :1]).mean() < 1.5
    assert (grey.pixels == grey.pixels[..., :1]).all()


def test_of_an_animation_the_first_picture_is_read(tmp_path: Path) -> None:
    image, other = Image.fromarray(RGB), Image.fromarray(RGB[::-1])
    image.save(tmp_path / "a.avif", save_all=True, append_images=[other], quality=100, duration=100)
    read = read_photo(tmp_path / "a.avif")
    assert read.source.parts == ("an animation",)
    assert np.abs(read.pixels.astype(int) - RGB).mean() < 8


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1", b"miaf", b"MA1B"])
def test_it_is_known_by_its_brands_whatever_its_name(photo: Path, brand: bytes, tmp_path: Path) -> None:
    whole = photo.read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:8] + brand + whole[12:])
    if brand == b"avis":  # a sequence without tracks
        with pytest.raises(PhotoError, match=r"a\.jpg is damaged"):
            read_photo(tmp_path / "a.jpg")
    else:
        assert read_photo(tmp_path / "a.jpg").source.format == "AVIF"


def test_one_too_large_is_refused(photo: Path) -> None:
    with pytest.raises(PhotoError, match=r"0\.006144 megapixels"):
        read_photo(photo, max_megapixels=0.006)


def test_without_a_decoder_it_says_what_to_do(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(PhotoError, match="AVIF picture, which this Pillow cannot read: pip install"):
        read_photo(photo)


@pytest.mark.parametrize("accept_damaged", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_one_cut_short_is_refused_in_one_line(photo: Path, share: float, accept_damaged: bool) -> None:
    whole = photo.read_bytes()
    photo.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(PhotoError, match=r"web\.avif is ") as error:
        read_photo(photo, accept_damaged=accept_damaged)
    assert str(error.value).isprintable()


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
