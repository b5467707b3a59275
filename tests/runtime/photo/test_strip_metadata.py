"""`--strip-metadata`: nothing that a photo's file says of people, places and devices reaches the result."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from runtime.photo.reader import Photo, read_photo
from runtime.photo.writer import write_photo
from runtime.restore import main
from runtime.watch import main as watch

MARKER = "Paris-Nadar-1854"
ORIENTATION, MAKE, ARTIST, EXIF_IFD, COMMENT, GPS_IFD, PLACE = (
    0x0112,
    0x010F,
    0x013B,
    0x8769,
    0x9286,
    0x8825,
    0x001C,
)
IPTC, PHOTOSHOP = 33723, 34377
XMP = f"<x:xmpmeta><dc:creator>{MARKER}</dc:creator></x:xmpmeta>".encode()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RGB = np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8)
DEEP = np.random.default_rng(4).integers(0, 65536, (30, 40, 3), np.uint16)


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[MAKE] = exif[ARTIST] = MARKER
    exif.get_ifd(EXIF_IFD)[COMMENT] = MARKER.encode()
    exif.get_ifd(GPS_IFD)[PLACE] = MARKER.encode()
    return exif.tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def telling_photos(folder: Path) -> list[Path]:
    """Make a photo in every format and depth that says the marker wherever the format lets it."""
    folder.mkdir()
    image, told = Image.fromarray(RGB), {"icc_profile": ICC, "dpi": (300, 300)}
    text = PngInfo()
    text.add_text("Author", MARKER)
    text.add_itxt("Description", MARKER)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image.save(folder / "a.jpg", exif=exif_block(), xmp=XMP, comment=MARKER, **told)
    jpeg = (folder / "a.jpg").read_bytes()
    block = b"Photoshop 3.0\0" + MARKER.encode()
    application = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    (folder / "a.jpg").write_bytes(jpeg[:2] + application + jpeg[2:] + MARKER.encode())  # and after its end
    image.save(folder / "b.png", exif=exif_block(), pnginfo=text, **told)
    image.save(folder / "c.webp", exif=exif_block(), xmp=XMP, icc_profile=ICC, lossless=True)
    tags = {700: XMP, 270: MARKER, ARTIST: MARKER, IPTC: MARKER.encode(), PHOTOSHOP: MARKER.encode()}
    image.save(folder / "d.tif", tiffinfo=tags, **told)
    exif = exif_block()
    for suffix in (".png", ".tif"):  # sixteen bits, as this program itself writes them with metadata
        plain = read_photo(folder / "a.jpg").source
        source = type(plain)(exif=exif, xmp=XMP, icc=ICC, dpi=(300, 300))
        write_photo(folder / f"deep{suffix}", Photo(DEEP.copy(), None, source))
    deep = (folder / "deep.png").read_bytes()
    extra = chunk(b"tEXt", b"Author\0" + MARKER.encode())
    (folder / "deep.png").write_bytes(deep[:33] + extra + deep[33:])
    return sorted(folder.iterdir())


def says(path: Path) -> list[str]:
    """Return what a file says beside its picture, profile and density."""
    found = ["bytes"] if MARKER.encode() in path.read_bytes() else []
    with Image.open(path) as image:
        image.load()
        found += [key for key in image.info if key in ("xmp", "comment", "photoshop", "XML:com.adobe.xmp")]
        found += list(getattr(image, "text", {}))
        exif = image.getexif()
        found += [str(tag) for tag in (MAKE, ARTIST, EXIF_IFD, GPS_IFD, 270, 700, IPTC) if tag in exif]
        if "exif" in image.info and dict(exif) != {ORIENTATION: 6}:  # a copy lies as its original does
            found.append("exif")
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return telling_photos(tmp_path_factory.mktemp("telling") / "photos")


def test_a_photo_keeps_what_it_says_unless_asked(
    tiny_package: Path, photos: list[Path], tmp_path: Path
) -> None:
    assert all("bytes" in says(path) for path in photos)
    assert main([str(photos[0].parent), "-o", str(tmp_path), "--model", str(tiny_package)]) == 0
    assert all(says(tmp_path / path.name) for path in photos)


def test_nothing_of_it_survives_when_stripped(tiny_package: Path, photos: list[Path], tmp_path: Path) -> None:
    arguments = [str(photos[0].parent), "-o", str(tmp_path), "--model", str(tiny_package)]
    assert main([*arguments, "--strip-metadata"]) == 0
    for path in photos:
        assert says(tmp_path / path.name) == [], path.name


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_nothing_of_it_survives_a_change_of_format(
    tiny_package: Path, photos: list[Path], tmp_path: Path, suffix: str
) -> None:
    for path in photos[:2]:
        target = tmp_path / f"{path.stem}{suffix}"
        said = [str(path), "-o", str(target), "--model", str(tiny_package), "--strip-metadata"]
        assert main(said) == 0
        assert says(target) == []


def test_pixels_profile_depth_and_orientation_stay(
    tiny_package: Path, photos: list[Path], tmp_path: Path
) -> None:
    arguments = [str(photos[0].parent), "-o", str(tmp_path), "--model", str(tiny_package)]
    assert main([*arguments, "--strip-metadata"]) == 0
    for path in photos:
        before, after = read_photo(path), read_photo(tmp_path / path.name)
        assert after.source.icc == ICC
        assert after.pixels.dtype == before.pixels.dtype
        assert after.pixels.shape == before.pixels.shape
        if path.suffix != ".jpg":
            np.testing.assert_array_equal(after.pixels, before.pixels)


def test_the_hot_folder_strips_results_and_leaves_originals(tiny_package: Path, tmp_path: Path) -> None:
    photos = telling_photos(tmp_path / "in")
    originals = {path.name: path.read_bytes() for path in photos}
    out = tmp_path / "out"
    said = ["--once", "--settle", "0", "--strip-metadata", "--model", str(tiny_package)]
    assert watch([str(tmp_path / "in"), str(out), *said]) == 0
    for name, content in originals.items():
        assert says(out / name) == []
        assert (out / "done" / name).read_bytes() == content
