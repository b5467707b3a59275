"""Writing: what a photo keeps on its way into each format, and what is refused before any work."""

import io
import os
import resource
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import get_sampling

from base.errors import PhotoError
from runtime.photo.reader import Photo, read_photo
from runtime.photo.source import PhotoSource
from runtime.photo.writer import OUTPUT_SUFFIXES, check_output, write_photo

RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (21, 33, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (21, 33, 3), np.uint16)
ALPHA = RNG.integers(0, 256, (21, 33), np.uint8)
DEEP_ALPHA = RNG.integers(0, 65536, (21, 33), np.uint16)
XMP = "<x:xmpmeta>naïve</x:xmpmeta>".encode()
ORIENTATION, MAKE, EXIF_IFD, LENS, GPS_IFD, LATITUDE = 0x0112, 0x010F, 0x8769, 0xA434, 0x8825, 2
GREY_PROFILE = (Path(__file__).parents[2] / "data" / "grey.icc").read_bytes()
"""The least that counts as one: ICC.1:2001, a white point and a tone curve."""


def grey_of(samples: np.ndarray) -> np.ndarray:
    return np.repeat(samples[..., :1], 3, axis=2)


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    exif[MAKE] = "Kiosk"
    exif.get_ifd(EXIF_IFD)[LENS] = "50 mm"
    exif.get_ifd(GPS_IFD)[LATITUDE] = (52.0, 31.0, 12.0)
    return exif.tobytes()


@cache
def profile() -> bytes:
    """A colour profile, made once: each new one bears the second it was made in."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def again(folder: Path, suffix: str, photo: Photo) -> Photo:
    path = folder / f"written{suffix}"
    write_photo(path, photo)
    return read_photo(path)


# Pixels


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize(
    ("colours", "opacity"), [(RGB, ALPHA), (DEEP, DEEP_ALPHA)], ids=["8 bits", "16 bits"]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_all_bits_come_back_exactly(
    tmp_path: Path,
    suffix: str,
    colours: np.ndarray,
    opacity: np.ndarray,
    has_alpha: bool,
    grey: bool,
    compressed: bool,
) -> None:
    pixels, alpha = grey_of(colours) if grey else colours, opacity if has_alpha else None
    result = again(tmp_path, suffix, Photo(pixels, alpha, PhotoSource(grey=grey, compressed=compressed)))
    np.testing.assert_array_equal(result.pixels, pixels)
    np.testing.assert_array_equal(result.alpha, alpha)
    assert result.pixels.dtype == colours.dtype
    assert result.source.grey == (grey and (suffix == ".png" or not has_alpha or colours is RGB))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_photo_of_several_bands_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    pixels = np.tile(DEEP, (60, 50, 1))
    result = again(tmp_path, suffix, Photo(pixels, None, PhotoSource()))
    np.testing.assert_array_equal(result.pixels, pixels)


def test_an_untouched_photo_is_written_as_pillow_decodes_it(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "photo.jpg")
    write_photo(tmp_path / "out.png", read_photo(tmp_path / "photo.jpg"))
    with Image.open(tmp_path / "photo.jpg") as photo, Image.open(tmp_path / "out.png") as out:
        assert photo.tobytes() == out.tobytes()


def test_every_grey_level_survives_three_channels(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    photo = Photo(np.dstack([levels] * 3), None, PhotoSource(grey=True))
    np.testing.assert_array_equal(again(tmp_path, ".png", photo).pixels[..., 0], levels)


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "L"), (".png", "L"), (".bmp", "P"), (".tif", "L")])
def test_a_grey_photo_is_written_grey(tmp_path: Path, suffix: str, mode: str) -> None:
    write_photo(tmp_path / f"out{suffix}", Photo(grey_of(RGB), None, PhotoSource(grey=True)))
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.mode in ("L", mode)


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_sixteen_bits_are_rounded_to_eight_where_a_format_has_no_more(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    photo = Photo(np.dstack([levels] * 3), None, PhotoSource(lossless=True))
    expected = np.rint(levels.astype(float) * 255 / 65535)
    np.testing.assert_array_equal(again(tmp_path, suffix, photo).pixels[..., 1], expected)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_alpha_is_laid_on_white_where_a_format_has_none(tmp_path: Path, deep: bool, grey: bool) -> None:
    pixels = grey_of(RGB) if grey else RGB
    scale = 257 if deep else 1
    depth = np.uint16 if deep else np.uint8
    photo = Photo(
        (pixels.astype(int) * scale).astype(depth),
        (ALPHA.astype(int) * scale).astype(depth),
        PhotoSource(grey=grey),
    )
    opacity = ALPHA[..., None] / 255
    result = again(tmp_path, ".bmp", photo)
    assert np.abs(result.pixels - (pixels * opacity + 255 * (1 - opacity))).max() <= 1
    assert result.alpha is None
    assert again(tmp_path, ".jpg", photo).alpha is None


def test_webp_keeps_alpha_and_the_colours_under_it_when_lossless(tmp_path: Path) -> None:
    result = again(tmp_path, ".webp", Photo(RGB, ALPHA, PhotoSource(lossless=True)))
    np.testing.assert_array_equal(result.pixels, RGB)
    np.testing.assert_array_equal(result.alpha, ALPHA)
    assert result.source.lossless


# How it is coded


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_keeps_its_quantisation_and_subsampling(tmp_path: Path, mode: str, subsampling: int) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "in.jpg", quality=63, subsampling=subsampling, progressive=True)
    write_photo(tmp_path / "out.jpg", read_photo(tmp_path / "in.jpg"))
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert after.quantization == before.quantization
        assert get_sampling(after) == get_sampling(before)
        assert after.mode == mode
        assert after.info["progressive"]


def test_another_photo_becomes_a_jpeg_of_quality_95_with_full_colour(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.jpg", Photo(RGB, None, PhotoSource()))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", quality=95)
    with Image.open(tmp_path / "out.jpg") as image, Image.open(buffer) as expected:
        assert image.quantization == expected.quantization
        assert get_sampling(image) == 0


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "jpeg"])
def test_a_tiff_stays_compressed_or_raw(tmp_path: Path, compression: str) -> None:
    Image.fromarray(RGB).save(tmp_path / "in.tif", compression=compression)
    write_photo(tmp_path / "out.tif", read_photo(tmp_path / "in.tif"))
    with Image.open(tmp_path / "out.tif") as image:
        assert (image.info["compression"] == "raw") == (compression == "raw")


# Metadata


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_goes_along(tmp_path: Path, suffix: str, deep: bool) -> None:
    source = PhotoSource(icc=profile(), exif=exif_block(), xmp=XMP, dpi=(300, 240))
    result = again(tmp_path, suffix, Photo(DEEP if deep else RGB, None, source)).source
    assert result.icc == source.icc
    assert result.xmp == source.xmp
    if suffix != ".webp":
        assert result.dpi == pytest.approx((300, 240), abs=0.02)
    exif = Image.Exif()
    exif.load(result.exif or b"")
    assert exif[ORIENTATION] == 1
    assert exif[MAKE] == "Kiosk"
    assert exif.get_ifd(EXIF_IFD)[LENS] == "50 mm"
    assert exif.get_ifd(GPS_IFD)[LATITUDE] == (52.0, 31.0, 12.0)


@pytest.mark.parametrize("first", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("second", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_survives_a_change_of_format(tmp_path: Path, first: str, second: str) -> None:
    source = PhotoSource(icc=profile(), exif=exif_block(), xmp=XMP)
    once = again(tmp_path, first, Photo(RGB, ALPHA, source))
    write_photo(tmp_path / f"twice{second}", once)
    with Image.open(tmp_path / f"twice{second}") as image:
        assert image.size == (33, 21)
        assert image.info["icc_profile"] == profile()
        exif = image.getexif()
        assert exif[MAKE] == "Kiosk"
        assert exif.get_ifd(EXIF_IFD)[LENS] == "50 mm"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_grey_profile_goes_along_with_a_grey_photo(tmp_path: Path, suffix: str) -> None:
    source = PhotoSource(grey=True, icc=GREY_PROFILE)
    assert again(tmp_path, suffix, Photo(grey_of(RGB), None, source)).source.icc == GREY_PROFILE


def test_a_grey_profile_becomes_a_coloured_one_in_a_webp(tmp_path: Path) -> None:
    source = PhotoSource(grey=True, icc=GREY_PROFILE)
    write_photo(tmp_path / "out.webp", Photo(grey_of(RGB), None, source))
    with Image.open(tmp_path / "out.webp") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
    assert profile.xcolor_space.strip() == "RGB"


def test_bmp_keeps_the_resolution(tmp_path: Path) -> None:
    source = PhotoSource(icc=profile(), exif=exif_block(), dpi=(300, 240))
    assert again(tmp_path, ".bmp", Photo(RGB, None, source)).source.dpi == pytest.approx((300, 240), abs=0.02)


def test_exif_too_long_for_a_jpeg_does_not_stop_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[MAKE] = "x" * 70000
    source = PhotoSource(exif=exif.tobytes(), xmp=b"y" * 70000, icc=profile())
    result = again(tmp_path, ".jpg", Photo(RGB, None, source)).source
    assert result.exif is None
    assert result.xmp is None
    assert result.icc == profile()


# What is refused


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(PhotoError) as error:
        check_output(path, **options)
    message = str(error.value)
    assert message.isprintable()
    return message


@pytest.fixture
def photo() -> Photo:
    return Photo(RGB, None, PhotoSource())


def test_a_new_name_in_an_existing_folder_is_fine(tmp_path: Path) -> None:
    for suffix in OUTPUT_SUFFIXES:
        check_output(tmp_path / f"new{suffix}")
        check_output(tmp_path / f"NEW{suffix.upper()}")


def test_bad_outputs_are_refused_early(tmp_path: Path) -> None:
    (tmp_path / "old.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    assert "is a folder" in refusal(tmp_path)
    assert "no known suffix" in refusal(tmp_path / "out.xyz")
    assert "no known suffix" in refusal(tmp_path / "out")
    assert "does not exist" in refusal(tmp_path / "missing" / "out.png")
    assert "does not exist" in refusal(tmp_path / "old.png" / "out.png")
    assert "--overwrite" in refusal(tmp_path / "old.png")
    assert "pipe or a device" in refusal(tmp_path / "pipe.png", overwrite=True)
    refusal(tmp_path / "a\nb.xyz")
    check_output(tmp_path / "old.png", overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "is not writable" in refusal(tmp_path / "out.png")


def test_an_existing_file_is_kept_unless_allowed(tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    with pytest.raises(PhotoError, match="exists"):
        write_photo(path, photo)
    assert path.read_bytes() == b"old"
    write_photo(path, photo, overwrite=True)
    np.testing.assert_array_equal(read_photo(path).pixels, RGB)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(PhotoError, match="File too large"):
            write_photo(path, Photo(DEEP, None, PhotoSource()), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_photo_too_large_for_its_format_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"cannot write .*wide\.webp"):
        write_photo(tmp_path / "wide.webp", Photo(np.zeros((1, 20000, 3), np.uint8), None, PhotoSource()))
    assert not list(tmp_path.iterdir())


def test_arrays_that_are_no_photo_are_refused(photo: Photo) -> None:
    with pytest.raises(PhotoError, match="H×W×3"):
        replace(photo, pixels=RGB.astype(np.float32))
    with pytest.raises(PhotoError, match="H×W×3"):
        replace(photo, pixels=RGB[..., 0])
    with pytest.raises(PhotoError, match="like the pixels"):
        replace(photo, alpha=ALPHA[1:])
