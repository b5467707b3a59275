"""Colours that a file describes elsewhere than in an ICC profile are the same in the result."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from runtime.photo.colours import icc_profile, of_codes, of_gamma
from runtime.photo.reader import Photo, read_photo
from runtime.photo.source import PhotoSource, profile_of
from runtime.photo.writer import write_photo

RGB = np.random.default_rng(5).integers(0, 256, (12, 16, 3), np.uint8)
SRGB_XY, P3_XY = (64000, 33000, 30000, 60000, 15000, 6000), (68000, 32000, 26500, 69000, 15000, 6000)
D65_XY = (31270, 32900)
GAMMA_18, GAMMA_22 = 55556, 45455
PATCHES = np.array(
    [[[200, 100, 50], [30, 220, 90], [128, 128, 128], [10, 20, 240], [255, 255, 255]]], np.uint8
)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def gama(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def chrm(primaries: tuple[int, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *D65_XY, *primaries))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))


def png(path: Path, *chunks: bytes, pixels: np.ndarray = RGB) -> Path:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    whole = buffer.getvalue()
    path.write_bytes(whole[:33] + b"".join(chunks) + whole[33:])
    return path


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    """Return name and body of every chunk, whose check sum must be right."""
    data, at, found = path.read_bytes(), 8, []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert data[at + 8 + size : at + 12 + size] == struct.pack(">I", zlib.crc32(name + body))
        found.append((name, body))
        at += 12 + size
    return found


def seen(profile: bytes | None, patches: np.ndarray = PATCHES) -> np.ndarray:
    """Return what a colour-managed sRGB screen shows of samples with a profile."""
    if profile is None:
        return patches.astype(int)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = "L" if source.profile.xcolor_space.strip() == "GRAY" else "RGB"
    image = Image.fromarray(patches[..., 0] if mode == "L" else patches)
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.buildTransform(source, srgb, mode, "RGB", renderingIntent=1).apply(image)
    return np.asarray(shown).astype(int)


def expected(gamma: float | None, primaries: tuple[int, ...]) -> np.ndarray:
    """Return the same by the formulas: decode, primaries → XYZ → sRGB, encode."""

    def matrix(xy: tuple[int, ...]) -> np.ndarray:
        x, y = np.array(xy[::2]) / 1e5, np.array(xy[1::2]) / 1e5
        columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
        wx, wy = D65_XY[0] / 1e5, D65_XY[1] / 1e5
        return columns * np.linalg.solve(columns, [wx / wy, 1, (1 - wx - wy) / wy])

    v = PATCHES / 255
    light = v**gamma if gamma else np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ (np.linalg.inv(matrix(SRGB_XY)) @ matrix(primaries)).T, 0, 1)
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


# PNG to PNG: the chunks go along


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "chunks",
    [
        (gama(GAMMA_18), chrm(SRGB_XY)),
        (chrm(P3_XY),),
        (gama(100000),),
        (chunk(b"sRGB", b"\x01"), gama(GAMMA_22)),
        (cicp(12, 13),),
        (cicp(9, 16), chunk(b"mDCV", bytes(range(24))), chunk(b"cLLI", bytes(range(8)))),
    ],
)
def test_a_png_keeps_its_colour_chunks_before_the_samples(
    tmp_path: Path, chunks: tuple[bytes, ...], deep: bool
) -> None:
    photo = read_photo(png(tmp_path / "in.png", *chunks))
    if deep:
        photo = Photo(photo.pixels.astype(np.uint16) * 257, None, photo.source)
    write_photo(tmp_path / "out.png", photo)
    written = chunks_of(tmp_path / "out.png")
    names = [name for name, _ in written]
    for each in chunks:
        name = each[4:8]
        assert written.count((name, each[8:-4])) == 1
        assert names.index(name) < names.index(b"IDAT")
    assert b"iCCP" not in names
    with Image.open(tmp_path / "out.png") as image:
        image.load()


def test_a_png_with_a_profile_and_chunks_keeps_both(tmp_path: Path) -> None:
    profile = icc_profile(of_codes(12, 13))
    photo = read_photo(png(tmp_path / "in.png", iccp(profile), gama(GAMMA_22), chrm(P3_XY)))
    write_photo(tmp_path / "out.png", photo)
    names = [name for name, _ in chunks_of(tmp_path / "out.png")]
    assert {b"iCCP", b"gAMA", b"cHRM"} <= set(names)


# To formats without such chunks: an equivalent profile


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
@pytest.mark.parametrize(
    ("chunks", "gamma", "primaries"),
    [
        ((gama(GAMMA_18), chrm(SRGB_XY)), 1.8, SRGB_XY),
        ((gama(100000),), 1.0, SRGB_XY),
        ((gama(GAMMA_22), chrm(P3_XY)), 2.2, P3_XY),
        ((chrm(P3_XY),), None, P3_XY),
        ((cicp(12, 13),), None, P3_XY),
        ((cicp(12, 13), gama(100000), chrm(SRGB_XY)), None, P3_XY),
        ((cicp(12, 4), chunk(b"sRGB", b"\0")), 2.2, P3_XY),
    ],
)
def test_another_format_gets_a_profile_that_shows_the_same_colours(
    tmp_path: Path, chunks: tuple[bytes, ...], gamma: float, primaries: tuple[int, ...], suffix: str
) -> None:
    write_photo(tmp_path / f"out{suffix}", read_photo(png(tmp_path / "in.png", *chunks)))
    with Image.open(tmp_path / f"out{suffix}") as image:
        profile = image.info["icc_profile"]
    assert np.abs(seen(profile) - expected(gamma, primaries)).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (chunk(b"sRGB", b"\0"), gama(100000), chrm(P3_XY)),
        (cicp(1, 13), gama(100000)),
        (gama(0),),
        (chrm((0, 0, 0, 0, 0, 0)),),
        (cicp(2, 2),),
        (cicp(200, 200), chunk(b"sRGB", b"\0")),
        (cicp(12, 13, matrix=1), chunk(b"sRGB", b"\0")),
    ],
)
def test_srgb_and_nonsense_get_no_profile(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    write_photo(tmp_path / "out.jpg", read_photo(png(tmp_path / "in.png", *chunks)))
    with Image.open(tmp_path / "out.jpg") as image:
        assert "icc_profile" not in image.info


def test_a_profile_wins_over_srgb_and_gamma_and_cicp_over_the_profile(tmp_path: Path) -> None:
    adobe = icc_profile(of_gamma(563 / 256, ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.329))))
    photo = read_photo(png(tmp_path / "a.png", iccp(adobe), gama(100000), chrm(P3_XY)))
    assert profile_of(photo.source) == adobe
    p3 = read_photo(png(tmp_path / "b.png", cicp(12, 13), iccp(adobe)))
    assert np.abs(seen(profile_of(p3.source)) - expected(None, P3_XY)).max() <= 1
    srgb = read_photo(png(tmp_path / "c.png", cicp(1, 13), iccp(adobe)))
    assert np.abs(seen(profile_of(srgb.source)) - PATCHES).max() <= 1
    hdr = read_photo(png(tmp_path / "d.png", cicp(9, 16), iccp(adobe)))  # its maker's own rendering
    assert profile_of(hdr.source) == adobe


def test_grey_gets_a_grey_profile_and_a_coloured_one_in_webp(tmp_path: Path) -> None:
    photo = read_photo(png(tmp_path / "grey.png", gama(GAMMA_18), pixels=RGB[..., 0]))
    for suffix, space in ((".jpg", "GRAY"), (".tif", "GRAY"), (".webp", "RGB")):
        write_photo(tmp_path / f"out{suffix}", photo)
        with Image.open(tmp_path / f"out{suffix}") as image:
            profile = image.info["icc_profile"]
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        assert opened.xcolor_space.strip() == space
        grey = np.repeat(PATCHES[..., 1:2], 3, axis=2)
        light = (grey / 255) ** 1.8
        shown = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        assert np.abs(seen(profile, grey) - shown).max() <= 1


# HDR


@pytest.mark.parametrize("transfer", [16, 18])
def test_an_hdr_curve_rises_keeps_shadows_and_names_itself(transfer: int) -> None:
    profile = icc_profile(of_codes(9, transfer))
    assert b"cicp\0\0\0\0" + bytes([9, transfer, 0, 1]) in profile
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    shown = seen(profile, ramp)[0, :, 1]
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[255] == 255
    white = 148 if transfer == 16 else 191  # the code value of diffuse white, 203 cd/m² (ITU-R BT.2408)
    assert 215 <= shown[white] <= 245


# HEIF, EXIF, TIFF


def heif(path: Path, primaries: int, transfer: int, **options: object) -> Path:
    codes = {"color_primaries": primaries, "transfer_characteristics": transfer}
    heif_file = pillow_heif.from_pillow(Image.fromarray(RGB))
    heif_file.save(path, quality=-1, chroma=444, matrix_coefficients=6, full_range_flag=1, **codes, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_heic_without_a_profile_gets_one_of_its_own_colours(tmp_path: Path, suffix: str) -> None:
    write_photo(tmp_path / f"out{suffix}", read_photo(heif(tmp_path / "a.heic", 12, 13)))
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert np.abs(seen(image.info["icc_profile"]) - expected(None, P3_XY)).max() <= 1
    if suffix == ".png":
        assert (b"cICP", bytes([12, 13, 0, 1])) in chunks_of(tmp_path / "out.png")


def test_a_heic_in_srgb_gets_none_and_one_with_a_profile_keeps_it(tmp_path: Path) -> None:
    assert profile_of(read_photo(heif(tmp_path / "a.heic", 1, 13)).source) is None
    profile = icc_profile(of_gamma(1.8))
    image = Image.fromarray(RGB)
    image.info["icc_profile"] = profile
    pillow_heif.from_pillow(image).save(tmp_path / "b.heic", quality=-1)
    assert profile_of(read_photo(tmp_path / "b.heic").source) == profile


def test_adobe_rgb_that_only_exif_names_gets_its_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(RGB).save(tmp_path / "_DSC0001.jpg", exif=exif)
    profile = profile_of(read_photo(tmp_path / "_DSC0001.jpg").source)
    adobe_xy = (64000, 33000, 21000, 71000, 15000, 6000)
    assert np.abs(seen(profile) - expected(563 / 256, adobe_xy)).max() <= 1


def test_a_tiffs_own_primaries_become_a_profile(tmp_path: Path) -> None:
    tags = ImageFileDirectory_v2()
    tags[318] = (0.3127, 0.329)
    tags[319] = tuple(value / 1e5 for value in P3_XY)
    Image.fromarray(RGB).save(tmp_path / "in.tif", tiffinfo=tags)
    write_photo(tmp_path / "out.tif", read_photo(tmp_path / "in.tif"))
    with Image.open(tmp_path / "out.tif") as image:
        assert np.abs(seen(image.info["icc_profile"]) - expected(2.2, P3_XY)).max() <= 1


def test_the_same_colours_give_the_same_bytes() -> None:
    assert icc_profile(of_codes(12, 13)) == icc_profile(of_codes(12, 13))
    assert PhotoSource().png_colours == b""
