"""Reading: every mode and format that a photo comes in, and everything that is not a photo."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from base.errors import PhotoError
from runtime.photo.reader import Photo, read_photo
from runtime.photo.source import PhotoSource
from runtime.photo.suffixes import SUPPORTED_SUFFIXES
from runtime.photo.writer import write_photo

RNG = np.random.default_rng(7)
RGB = cv2.resize(RNG.integers(0, 256, (5, 6, 3), np.uint8), (31, 22), interpolation=cv2.INTER_CUBIC)
DEEP = RNG.integers(0, 65536, (22, 31, 4), np.uint16)
ORIENTATION, MAKE, EXIF_IFD, LENS = 0x0112, 0x010F, 0x8769, 0xA434
GREY_PROFILE = (Path(__file__).parents[2] / "data" / "grey.icc").read_bytes()
"""The least that counts as one: ICC.1:2001, a white point and a tone curve."""


def save(path: Path, image: Image.Image | np.ndarray, **options: object) -> Path:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def exif_block(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKE] = "Kiosk"
    exif.get_ifd(EXIF_IFD)[LENS] = "50 mm"
    return exif


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def deep_png(path: Path, samples: np.ndarray, colour_type: int, extra: bytes = b"") -> Path:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    trns = chunk(b"tRNS", extra) if extra else b""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + trns
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def deep_tiff(
    path: Path,
    samples: np.ndarray,
    *,
    order: str = "<",
    deflate: bool = False,
    photometric: int = 2,
    extra: int | None = None,
    planes: bool = False,
) -> Path:
    height, width, channels = samples.shape
    head = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    directory = ImageFileDirectory_v2(head)
    data = np.moveaxis(samples, 2, 0) if planes else samples
    strip = data.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if deflate else strip
    tags = {
        256: width,
        257: height,
        258: (16,) * channels,
        259: 8 if deflate else 1,
        262: photometric,
        273: 0,
        277: channels,
        278: height,
        279: len(strip),
        284: 2 if planes else 1,
    }
    if extra is not None:
        tags[338] = (extra,)
    for tag, value in tags.items():
        directory[tag] = value
    path.write_bytes(head + directory.tobytes(8) + strip)
    return path


# What a photo is, format by format


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".gif", ".jpg"])
def test_every_format_gives_the_pixels_that_pillow_decodes(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"photo{suffix}", RGB)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, np.asarray(Image.open(path).convert("RGB")))
    assert photo.alpha is None
    assert not photo.source.grey
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert suffix in SUPPORTED_SUFFIXES


def test_a_phones_mpo_gives_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    Image.fromarray(RGB).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert Image.open(path).format == "MPO"
    photo = read_photo(path)
    assert photo.pixels.shape == RGB.shape
    assert photo.source.format == "JPEG"


def test_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "named.jpg"
    Image.fromarray(RGB).save(path, "PNG")
    np.testing.assert_array_equal(read_photo(path).pixels, RGB)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    photo = read_photo(save(tmp_path / "grey.png", image))
    assert photo.source.grey
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))


def test_grey_with_alpha_keeps_both(tmp_path: Path) -> None:
    samples = np.dstack([RGB[..., 0], RGB[..., 1]])
    photo = read_photo(save(tmp_path / "grey.png", samples))
    assert photo.source.grey
    np.testing.assert_array_equal(photo.pixels[..., 2], samples[..., 0])
    np.testing.assert_array_equal(photo.alpha, samples[..., 1])


def test_colour_under_transparent_pixels_is_kept(tmp_path: Path) -> None:
    alpha = np.where(RGB[..., 0] > 128, 255, 0).astype(np.uint8)
    photo = read_photo(save(tmp_path / "cut.png", np.dstack([RGB, alpha])))
    np.testing.assert_array_equal(photo.pixels, RGB)
    np.testing.assert_array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif", ".bmp"])
def test_a_palette_becomes_rgb(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(RGB).quantize(16)
    photo = read_photo(save(tmp_path / f"palette{suffix}", image))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    assert photo.alpha is None
    assert not photo.source.grey


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(RGB).quantize(16)
    photo = read_photo(save(tmp_path / f"palette{suffix}", image, transparency=3))
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)


def test_a_transparent_colour_becomes_alpha(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "key.png", RGB, transparency=tuple(int(v) for v in RGB[3, 4])))
    assert photo.alpha is not None
    assert photo.alpha[3, 4] == 0
    assert photo.alpha.max() == 255


def test_a_palette_with_alpha_becomes_rgb_and_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(16).convert("PA")
    image.putalpha(Image.fromarray(RGB[..., 1]))
    photo = read_photo(save(tmp_path / "pa.tif", image))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGBA"))[..., :3])
    np.testing.assert_array_equal(photo.alpha, RGB[..., 1])


def test_cmyk_without_a_profile_becomes_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).convert("CMYK")
    photo = read_photo(save(tmp_path / "print.tif", image))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    assert photo.source.icc is None


def test_adobes_inverted_cmyk_jpeg_is_not_a_negative(tmp_path: Path) -> None:
    path = save(tmp_path / "print.jpg", Image.new("CMYK", (16, 16), (0, 0, 0, 0)), quality=100)
    photo = read_photo(path)
    assert photo.pixels.min() > 250
    assert photo.source.jpeg is None


def test_a_profile_that_is_not_cmyk_does_not_stop_a_cmyk_photo(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).convert("CMYK")
    photo = read_photo(save(tmp_path / "print.tif", image, icc_profile=srgb_profile()))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "lab.tif", Image.new("LAB", (4, 4), (255, 128, 128))))
    assert photo.pixels.min() >= 254
    assert not photo.source.grey


def test_ycbcr_becomes_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).convert("YCbCr")
    photo = read_photo(save(tmp_path / "ycbcr.tif", image, compression="tiff_lzw"))
    assert np.abs(photo.pixels.astype(int) - np.asarray(image.convert("RGB"))).max() <= 2


def test_floats_from_0_to_1_become_16_bit_grey(tmp_path: Path) -> None:
    grey = np.linspace(0, 1, 22 * 31, dtype=np.float32).reshape(22, 31)
    photo = read_photo(save(tmp_path / "float.tif", grey))
    assert photo.source.grey
    np.testing.assert_array_equal(photo.pixels[..., 0], np.rint(grey * np.float32(65535)))


@pytest.mark.parametrize("outside", [-0.1, 1.5, np.nan])
def test_floats_elsewhere_are_refused(tmp_path: Path, outside: float) -> None:
    path = save(tmp_path / "float.tif", np.full((4, 4), outside, np.float32))
    with pytest.raises(PhotoError, match="floating-point samples"):
        read_photo(path)


def test_32_bit_integers_are_taken_where_they_fit_16_bits(tmp_path: Path) -> None:
    grey = DEEP[..., 0].astype(np.int32)
    np.testing.assert_array_equal(read_photo(save(tmp_path / "i.tif", grey)).pixels[..., 0], DEEP[..., 0])
    with pytest.raises(PhotoError, match="do not fit 16 bits"):
        read_photo(save(tmp_path / "i.tif", grey + 1000))


# Sixteen bits


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bit_png_keeps_sixteen_bits(tmp_path: Path, channels: int, colour_type: int) -> None:
    samples = DEEP[..., :channels]
    photo = read_photo(deep_png(tmp_path / "deep.png", samples, colour_type))
    colours = samples[..., :3] if channels >= 3 else np.repeat(samples[..., :1], 3, axis=2)
    np.testing.assert_array_equal(photo.pixels, colours)
    assert photo.pixels.dtype == np.uint16
    assert photo.source.grey == (channels < 3)
    if channels in (2, 4):
        np.testing.assert_array_equal(photo.alpha, samples[..., -1])
    else:
        assert photo.alpha is None


def test_sixteen_bit_png_agrees_with_opencv(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), DEEP[..., :3])
    np.testing.assert_array_equal(read_photo(path).pixels, DEEP[..., 2::-1])


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
def test_sixteen_bit_png_keeps_its_transparent_colour(
    tmp_path: Path, channels: int, colour_type: int
) -> None:
    samples = DEEP[..., :channels]
    key = samples[5, 6].astype(">u2").tobytes()
    alpha = read_photo(deep_png(tmp_path / "deep.png", samples, colour_type, extra=key)).alpha
    np.testing.assert_array_equal(alpha == 0, (samples == samples[5, 6]).all(axis=2))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(("channels", "extra"), [(1, None), (2, 2), (3, None), (4, 0), (4, 2)])
def test_sixteen_bit_tiff_keeps_sixteen_bits(
    tmp_path: Path, order: str, deflate: bool, channels: int, extra: int | None
) -> None:
    samples = DEEP[..., :channels]
    path = deep_tiff(
        tmp_path / "deep.tif",
        samples,
        order=order,
        deflate=deflate,
        photometric=2 if channels > 2 else 1,
        extra=extra,
    )
    photo = read_photo(path)
    colours = samples[..., : 1 if channels < 3 else 3]
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(colours, (22, 31, 3)))
    assert photo.pixels.dtype == np.uint16
    assert (photo.alpha is not None) == (extra == 2)
    if photo.alpha is not None:
        np.testing.assert_array_equal(photo.alpha, samples[..., -1])


@pytest.mark.parametrize(("colours", "photometric"), [(3, 2), (1, 1)])
def test_premultiplied_sixteen_bit_tiff_is_divided_by_alpha(
    tmp_path: Path, colours: int, photometric: int
) -> None:
    alpha = DEEP[..., 3:] | 0x8000
    multiplied = np.rint(DEEP[..., :colours] * (alpha / 65535)).astype(np.uint16)
    samples = np.concatenate([multiplied, alpha], axis=2)
    photo = read_photo(deep_tiff(tmp_path / "deep.tif", samples, extra=1, photometric=photometric))
    assert np.abs(photo.pixels.astype(int) - DEEP[..., :colours]).max() <= 1
    np.testing.assert_array_equal(photo.alpha, alpha[..., 0])


def test_sixteen_bit_tiff_where_white_is_zero_is_not_a_negative(tmp_path: Path) -> None:
    path = deep_tiff(tmp_path / "deep.tif", 65535 - DEEP[..., :1], photometric=0)
    np.testing.assert_array_equal(read_photo(path).pixels[..., 0], DEEP[..., 0])


def test_a_lack_of_memory_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    path = deep_tiff(tmp_path / "deep.tif", DEEP[..., :3])
    monkeypatch.setattr("runtime.photo.reader.decode_samples", full)
    with pytest.raises(PhotoError, match=r"not enough memory to read .*deep.tif"):
        read_photo(path)


def test_sixteen_bit_tiff_with_separate_planes_is_refused(tmp_path: Path) -> None:
    path = deep_tiff(tmp_path / "deep.tif", DEEP[..., :3], planes=True)
    with pytest.raises(PhotoError, match="save it interleaved"):
        read_photo(path)


# Orientation and metadata


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_once_read(tmp_path: Path, orientation: int, suffix: str, deep: bool) -> None:
    how = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.swapaxes(0, 1),
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(a, 2).swapaxes(0, 1),
        lambda a: np.rot90(a),
    ][orientation - 1]
    lying = DEEP[..., :3] if deep else RGB
    path = tmp_path / f"turned{suffix}"
    write_photo(path, Photo(lying, None, PhotoSource(exif=exif_block(orientation).tobytes())))
    turned = read_photo(path)
    np.testing.assert_array_equal(turned.pixels, how(lying))
    assert turned.pixels.flags.c_contiguous
    exif = Image.Exif()
    exif.load(turned.source.exif or b"")
    assert exif.get(ORIENTATION, 1) == 1
    assert exif[MAKE] == "Kiosk"
    assert exif.get_ifd(EXIF_IFD)[LENS] == "50 mm"


def test_orientation_in_xmp_is_applied_and_reset(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="x"/></x:xmpmeta>'
    photo = read_photo(save(tmp_path / "turned.jpg", RGB, xmp=xmp))
    assert photo.pixels.shape == (31, 22, 3)
    assert photo.source.xmp == xmp.replace(b'"6"', b'"1"')


def test_the_stale_thumbnail_is_removed(tmp_path: Path) -> None:
    thumbnail = b"\xff\xd8 a face in bad shape \xff\xd9"
    block = bytearray(exif_block().tobytes())
    first = 6 + 8
    entries = struct.unpack_from(">H", block, first)[0]
    directory = struct.pack(
        ">HHHIIHHIII", 2, 0x201, 4, 1, len(block) - 6 + 30, 0x202, 4, 1, len(thumbnail), 0
    )
    struct.pack_into(">I", block, first + 2 + 12 * entries, len(block) - 6)
    path = save(tmp_path / "camera.jpg", RGB, exif=bytes(block) + directory + thumbnail)
    assert thumbnail in path.read_bytes()
    photo = read_photo(path)
    assert thumbnail not in (photo.source.exif or b"")
    assert b"Kiosk" in (photo.source.exif or b"")


def test_resolution_and_profile_are_read(tmp_path: Path) -> None:
    profile = srgb_profile()
    source = read_photo(save(tmp_path / "photo.jpg", RGB, dpi=(300, 240), icc_profile=profile)).source
    assert source.dpi == (300, 240)
    assert source.icc == profile


@pytest.mark.parametrize("profile", [b"not a profile", GREY_PROFILE, srgb_profile()[:200]])
def test_a_broken_or_misplaced_profile_is_dropped(tmp_path: Path, profile: bytes) -> None:
    photo = read_photo(save(tmp_path / "photo.jpg", RGB, icc_profile=profile))
    assert photo.source.icc is None
    assert photo.pixels.shape == RGB.shape


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "block", [b"Exif\0\0garbage!", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 90, b"Exif\0\0"]
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_broken_exif_is_dropped(tmp_path: Path, block: bytes, suffix: str) -> None:
    photo = read_photo(save(tmp_path / f"photo{suffix}", RGB, exif=block))
    assert photo.pixels.shape == RGB.shape


def test_a_lossless_webp_is_known_as_such(tmp_path: Path) -> None:
    assert read_photo(save(tmp_path / "a.webp", RGB, lossless=True)).source.lossless
    assert read_photo(save(tmp_path / "b.webp", RGB, lossless=True, exif=exif_block())).source.lossless
    assert not read_photo(save(tmp_path / "c.webp", RGB)).source.lossless


# What is not a photo


def message_of(path: Path, **options: float) -> str:
    with pytest.raises(PhotoError) as error:
        read_photo(path, **options)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "gone.jpg does not exist" in message_of(tmp_path / "gone.jpg")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in message_of(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert "is empty" in message_of(tmp_path / "empty.jpg")


def test_text_is_not_a_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("dear diary")
    assert "not a JPEG" in message_of(tmp_path / "notes.jpg")


def test_a_pipe_or_a_device_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "pipe or a device" in message_of(tmp_path / "pipe.jpg")
    assert "pipe or a device" in message_of(Path("/dev/zero"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "locked.png", RGB)
    path.chmod(0)
    assert "Permission denied" in message_of(path)


@pytest.mark.parametrize("name", ["line\nbreak.jpg", "bell\a.jpg", "\x1b[31mred.jpg", "lone\udcff.jpg"])
def test_a_strange_name_stays_on_one_line(tmp_path: Path, name: str) -> None:
    message = message_of(tmp_path / name)
    assert message.isprintable()
    message.encode()


def test_an_impossible_name_is_an_error_like_any_other() -> None:
    assert "null" in message_of(Path("a\0b.jpg"))
    assert "too long" in message_of(Path("x" * 300))


def test_too_many_pixels_are_refused_from_the_header_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "large.png", Image.new("1", (12000, 10000)))
    message = message_of(path)
    assert "120 megapixels (12000×10000)" in message
    assert "more than the 100 allowed" in message
    assert "--max-megapixels" in message
    path.write_bytes(path.read_bytes()[:60])
    assert "--max-megapixels" in message_of(path)


@pytest.mark.filterwarnings("error")
def test_a_file_of_many_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "huge.webp", RGB)  # a format that Pillow reads as a whole
    os.truncate(path, 50 << 30)  # it takes no space: the rest is a hole
    assert "megabytes" in message_of(path)
    assert "--max-megapixels" in message_of(path)
    os.truncate(path, 60_000_000)
    assert read_photo(path, max_megapixels=0.01).pixels.shape == RGB.shape


def test_pillows_own_limit_does_not_interfere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "photo.png", Image.new("L", (2000, 2000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert read_photo(path).pixels.shape == (2000, 2000, 3)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".gif", ".jpg"])
def test_a_truncated_file_is_never_taken_for_a_photo(tmp_path: Path, suffix: str, deep: bool) -> None:
    path = tmp_path / f"photo{suffix}"
    if deep and suffix == ".png":
        deep_png(path, DEEP, 6)
    elif deep and suffix == ".tif":
        deep_tiff(path, DEEP, deflate=True, extra=2)
    elif not deep:
        save(path, RNG.integers(0, 256, (40, 40, 3), np.uint8))
    else:
        pytest.skip("has 8 bits only")
    whole = path.read_bytes()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert path.name in message_of(path)


def real_files() -> list[bytes]:
    files = []
    picture = Image.fromarray(RGB[:9, :8])
    for mode, name, options in [
        ("RGB", "JPEG", {"exif": exif_block(6), "icc_profile": srgb_profile(), "dpi": (72, 72)}),
        ("L", "JPEG", {"progressive": True}),
        ("CMYK", "JPEG", {"icc_profile": srgb_profile()}),
        ("RGBA", "PNG", {"exif": exif_block(5), "dpi": (99, 99)}),
        ("P", "PNG", {"transparency": 1}),
        ("RGB", "WEBP", {"exif": exif_block(8), "xmp": b'tiff:Orientation="3"'}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "TIFF", {"exif": exif_block(7), "compression": "tiff_lzw"}),
        ("L", "TIFF", {"dpi": (300, 300)}),
        ("LAB", "TIFF", {}),
        ("F", "TIFF", {}),
        ("RGB", "BMP", {}),
        ("P", "GIF", {"transparency": 0}),
    ]:
        buffer = io.BytesIO()
        image = Image.new("LAB", (8, 9)) if mode == "LAB" else picture.convert(mode)
        image.save(buffer, name, **options)
        files.append(buffer.getvalue())
    return files


REAL_FILES = real_files()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    REAL_FILES.append(deep_png(folder / "a", DEEP[:5, :6], 6).read_bytes())
    REAL_FILES.append(deep_tiff(folder / "b", DEEP[:5, :6], extra=1).read_bytes())
    REAL_FILES.append(deep_tiff(folder / "c", DEEP[:5, :6, :3], deflate=True, order=">").read_bytes())
    return folder


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_bytes_give_a_photo_or_a_photo_error(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(REAL_FILES)))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255]) | st.integers(0, 255))
    del content[data.draw(st.just(len(content)) | st.integers(0, len(content))) :]
    path = scratch / "hostile"
    path.write_bytes(content)
    try:
        photo = read_photo(path, max_megapixels=0.5)
    except PhotoError:
        return
    assert photo.pixels.size
    for suffix in (".jpg", ".png", ".tif"):
        write_photo(scratch / f"written{suffix}", photo, overwrite=True)
